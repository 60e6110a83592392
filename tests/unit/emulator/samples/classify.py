# A program as its author wrote it: no types, and prints.
# ruff: noqa: D101, D102, D103, T201
# mypy: ignore-errors
"""Classify one picture with a static model, in plain pyACL.

usage: classify.py model.om input.bin
"""

import sys

import acl
import numpy as np

ACL_MEM_MALLOC_HUGE_FIRST = 0
ACL_MEMCPY_HOST_TO_DEVICE = 1
ACL_MEMCPY_DEVICE_TO_HOST = 2
ACL_MEMCPY_DEVICE_TO_DEVICE = 3
ACL_DEVICE = 0
DEVICE_ID = 0


def check(what, ret):
    if ret != 0:
        raise RuntimeError(f"{what} failed: {ret}: {acl.get_recent_err_msg()}")


class Classifier:
    def __init__(self, model_path):
        check("acl.init", acl.init())
        check("set_device", acl.rt.set_device(DEVICE_ID))
        self.context, ret = acl.rt.create_context(DEVICE_ID)
        check("create_context", ret)
        self.stream, ret = acl.rt.create_stream()
        check("create_stream", ret)
        run_mode, ret = acl.rt.get_run_mode()
        check("get_run_mode", ret)
        on_device = run_mode == ACL_DEVICE
        self.copy_in = ACL_MEMCPY_DEVICE_TO_DEVICE if on_device else ACL_MEMCPY_HOST_TO_DEVICE
        self.copy_out = ACL_MEMCPY_DEVICE_TO_DEVICE if on_device else ACL_MEMCPY_DEVICE_TO_HOST
        self.model_id, ret = acl.mdl.load_from_file(model_path)
        check("load_from_file", ret)
        self.desc = acl.mdl.create_desc()
        check("get_desc", acl.mdl.get_desc(self.desc, self.model_id))
        self.inputs = self._make_dataset(
            acl.mdl.get_num_inputs(self.desc), acl.mdl.get_input_size_by_index
        )
        self.outputs = self._make_dataset(
            acl.mdl.get_num_outputs(self.desc), acl.mdl.get_output_size_by_index
        )

    def _make_dataset(self, count, size_of):
        dataset = acl.mdl.create_dataset()
        for index in range(count):
            size = size_of(self.desc, index)
            ptr, ret = acl.rt.malloc(size, ACL_MEM_MALLOC_HUGE_FIRST)
            check("malloc", ret)
            buffer = acl.create_data_buffer(ptr, size)
            _, ret = acl.mdl.add_dataset_buffer(dataset, buffer)
            check("add_dataset_buffer", ret)
        return dataset

    def classify(self, pixels):
        data = np.ascontiguousarray(pixels, dtype=np.float32).tobytes()
        buffer = acl.mdl.get_dataset_buffer(self.inputs, 0)
        target = acl.get_data_buffer_addr(buffer)
        size = acl.get_data_buffer_size(buffer)
        source = acl.util.bytes_to_ptr(data)
        check("memcpy", acl.rt.memcpy(target, size, source, len(data), self.copy_in))
        check("execute", acl.mdl.execute(self.model_id, self.inputs, self.outputs))
        buffer = acl.mdl.get_dataset_buffer(self.outputs, 0)
        source = acl.get_data_buffer_addr(buffer)
        size = acl.get_data_buffer_size(buffer)
        result = bytes(bytearray(size))
        target = acl.util.bytes_to_ptr(result)
        check("memcpy", acl.rt.memcpy(target, size, source, size, self.copy_out))
        dims, ret = acl.mdl.get_output_dims(self.desc, 0)
        check("get_output_dims", ret)
        return np.frombuffer(result, dtype=np.float32).reshape(dims["dims"])

    def close(self):
        for dataset in (self.inputs, self.outputs):
            for index in range(acl.mdl.get_dataset_num_buffers(dataset)):
                buffer = acl.mdl.get_dataset_buffer(dataset, index)
                check("free", acl.rt.free(acl.get_data_buffer_addr(buffer)))
                check("destroy_data_buffer", acl.destroy_data_buffer(buffer))
            check("destroy_dataset", acl.mdl.destroy_dataset(dataset))
        check("unload", acl.mdl.unload(self.model_id))
        check("destroy_desc", acl.mdl.destroy_desc(self.desc))
        check("destroy_stream", acl.rt.destroy_stream(self.stream))
        check("destroy_context", acl.rt.destroy_context(self.context))
        check("reset_device", acl.rt.reset_device(DEVICE_ID))
        check("finalize", acl.finalize())


def main():
    classifier = Classifier(sys.argv[1])
    scores = classifier.classify(np.fromfile(sys.argv[2], dtype=np.float32))
    for index in np.argsort(-scores[0])[:3]:
        print(index, f"{scores[0][index]:.4f}")
    classifier.close()


if __name__ == "__main__":
    main()
