# ruff: noqa: E501  # frames are as wide as they are
"""Frames as boards print them, in the forms that were seen."""

from __future__ import annotations

BOARD_310B1 = """\
+--------------------------------------------------------------------------------------------------------+
| npu-smi 23.0.rc3                                 Version: 23.0.rc3                                     |
+-------------------------------+-----------------+------------------------------------------------------+
| NPU     Name                  | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device                | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
+===============================+=================+======================================================+
| 0       310B1                 | OK              | 9.2          53                15    / 15            |
| 0       0                     | NA              | 0            3841 / 11577                            |
+===============================+=================+======================================================+
"""

#: A board that always shows Alarm and no power, with a glued slash.
BOARD_ALARM = """\
+--------------------------------------------------------------------------------------------------------+
| npu-smi 23.0.0                                   Version: 23.0.0                                       |
+-------------------------------+-----------------+------------------------------------------------------+
| NPU     Name                  | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device                | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
+===============================+=================+======================================================+
| 0       310B4                 | Alarm           | 0.0          61                15    / 15            |
| 0       0                     | NA              | 7            14541/ 15610                            |
+===============================+=================+======================================================+
"""

#: Later versions: a name without its class, no huge pages, power not told.
BOARD_LATER = """\
+--------------------------------------------------------------------------------------------------------+
| npu-smi 25.5.0                                   Version: 25.5.0                                       |
+-------------------------------+-----------------+------------------------------------------------------+
| NPU     Name                  | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device                | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
+===============================+=================+======================================================+
| 0       310B                  | Warning         | NA           53                0     / 0             |
| 0       0                     | NA              | 0            3841 /11577                             |
+===============================+=================+======================================================+
"""

#: The narrower frame of older tools.
BOARD_NARROW = """\
+----------------------------------------------------------------------------------------+
| npu-smi 22.0.4                       Version: 22.0.4                                   |
+-------------------+---------------+----------------------------------------------------+
| NPU   Name        | Health        | Power(W)   Temp(C)         Hugepages-Usage(page)   |
| Chip  Device      | Bus-Id        | AICore(%)  Memory-Usage(MB)                        |
+===================+===============+====================================================+
| 0     310B4       | OK            | 8.1        47              0   / 15                |
| 0     0           | NA            | 12         1500/7545                               |
+===================+===============+====================================================+
"""

#: A card in a host: two chips, a bus id, a memory column of other chips, and who uses them.
BOARD_CARD = """\
+------------------------------------------------------------------------------------------------+
| npu-smi 24.1.rc3                 Version: 24.1.rc3                                             |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip  Device              | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910X                | OK            | 97.1        41                0    / 0             |
| 0     0                   | 0000:C1:00.0  | 3           0    / 0          3161 / 65536         |
+===========================+===============+====================================================+
| 1     910X                | Critical      | N/A         N/A               0    / 0             |
| 0     1                   | 0000:01:00.0  | 0           NA                3161 / 65536         |
+===========================+===============+====================================================+
+---------------------------+---------------+----------------------------------------------------+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| 0       0                 | 4711          | python3                  | 132                     |
+===========================+===============+====================================================+
| No running processes found in NPU 1                                                            |
+===========================+===============+====================================================+
"""

FRAMES = (BOARD_310B1, BOARD_ALARM, BOARD_LATER, BOARD_NARROW, BOARD_CARD)

HEALTH_OF_CHIP = """\
\tHealth Status                  : OK
\tError Code                     : NA
\tError Information              : NA
"""

HEALTH_WITH_FAULT = """\
\tHealth Status                  : Alarm
\tError Code                     : 80E3A203
\tError Information              : LPM: reading the current failed
"""

HEALTH_OF_NPU = """\
\tNPU ID                         : 0
\tChip Count                     : 2

\tChip ID                        : 0
\tHealth                         : OK

\tChip ID                        : 1
\tHealth                         : Critical
"""

USAGES = """\
\tMemory Capacity(MB)            : 11577
\tMemory Usage Rate(%)           : 33
\tHugepages Total(page)          : 15
\tHugepages Usage Rate(%)        : 100
\tAicore Usage Rate(%)           : 4
\tAicpu Usage Rate(%)            : 0
\tCtrlcpu Usage Rate(%)          : 12
\tMemory Bandwidth Usage Rate(%) : 1
"""

COMMON = """\
\tMemory Usage Rate(%)           : 33
\tAicore Usage Rate(%)           : 0
\tTemperature(C)                 : 53
\tRated Power Dissipation(W)     : NA
"""

MEMORY = """\
\tTotal Capacity(MB)             : 11577
\tCapacity(MB)                   : 11577
\tClock Speed(MHz)               : 2133
"""

VERSIONS = """\
\tNPU ID                         : 0
\tSoftware Version               : 23.0.rc3
\tFirmware Version               : 7.1.0.3.220
\tChip Count                     : 1
"""

CPU_COUNTS = """\
\tAI CPU number                  : 1
\tControl CPU number             : 3
\tData CPU number                : 0
"""

LISTS = (HEALTH_OF_CHIP, HEALTH_WITH_FAULT, HEALTH_OF_NPU, USAGES, COMMON, MEMORY, VERSIONS)
