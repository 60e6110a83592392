"""A call of pyACL that failed, and which error of gw's it becomes."""

from __future__ import annotations

from dispatcher.acl_device.codes import Code, Meaning, look_up
from dispatcher.device.errors import DeviceLost
from pipeline.errors import ContractBroken, GwError, InvalidSettings, ModelFault

# CANN's texts are stack traces over many lines; the first words hold what matters.
_LONGEST_DETAIL = 160


class AclFailure(Exception):
    """*call* gave *number*; *detail* is CANN's own text, if it left one. Stays in this package."""

    def __init__(self, call: str, number: int, detail: str = "") -> None:
        self.call = call
        self.code: Code = look_up(number)
        self.detail = " ".join(detail.split())[:_LONGEST_DETAIL]
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        code = self.code
        told = f' (CANN: "{self.detail}")' if self.detail else ""
        return f"{self.call} gave {code.number} {code.name}: {code.cause}{told}; {code.fix}"

    def on_load(self) -> GwError:
        """Give the error for a model that is being loaded: refused, unless the device is gone."""
        return self._to_error(InvalidSettings)

    def on_infer(self) -> GwError:
        """Give the error for a batch: the model's fault on it, unless the device is gone."""
        return self._to_error(ModelFault)

    def _to_error(self, blamed: type[InvalidSettings | ModelFault]) -> GwError:
        match self.code.meaning:
            case Meaning.DEVICE:
                return DeviceLost(str(self))
            case Meaning.DEFECT:
                return ContractBroken(str(self))
            case Meaning.MODEL:
                return blamed(str(self))
