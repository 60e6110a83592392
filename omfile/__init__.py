"""Reads Ascend offline models (``.om`` files) without an NPU, and writes synthetic ones.

Standard library only, and no import of another package of this project: the dispatcher, the command
line and the emulator of ``acl`` all stand on it.

::

    errors       what is wrong with a file, in one sentence that says what to do
    facts        the words: OmFile, TensorInfo, Gears, Aipp, enumerations
    source       bytes at an offset, of a buffer or of a file
    protobuf     the protocol-buffer wire format, bounded, in both directions
    container    header and partition tables
    inout        the partition that lists inputs, outputs and gears
    model_def    the partition that holds the graph and the model's attributes
    command_line what ATC's command line tells where a partition is silent
    aipp_text    the configuration file of the pixel unit
    reader       read_om and read_om_file
    checks       whether a model fits a device and a CANN
    as_built     what compiling makes of a model's inputs and outputs
    synthetic    pack: an OM around an ONNX graph, for the emulator and for tests
"""
