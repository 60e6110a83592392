# A program as its author wrote it: no types, and prints.
# ruff: noqa: D103, T201
# mypy: ignore-errors
"""Run a model with batch gears over any number of items, asynchronously, in plain pyACL.

usage: batches.py model.om input.bin output.bin
"""

import sys

import acl
import numpy as np

HIDDEN = "ascend_mbatch_shape_data"
NPY_FLOAT32 = 11

device_id = 0
assert acl.init() == 0
assert acl.rt.set_device(device_id) == 0
stream, ret = acl.rt.create_stream()
assert ret == 0
run_mode, ret = acl.rt.get_run_mode()
into_device, out_of_device = (3, 3) if run_mode == 0 else (1, 2)

model_id, ret = acl.mdl.load_from_file(sys.argv[1])
assert ret == 0, acl.get_recent_err_msg()
desc = acl.mdl.create_desc()
assert acl.mdl.get_desc(desc, model_id) == 0
gears, ret = acl.mdl.get_dynamic_batch(desc)
assert ret == 0
batches = sorted(gears["batch"])
gear_index, ret = acl.mdl.get_input_index_by_name(desc, HIDDEN)
assert ret == 0


def new_dataset(count, get_size):
    dataset, pointers = acl.mdl.create_dataset(), []
    for index in range(count):
        size = get_size(desc, index)
        pointer, ret = acl.rt.malloc(size, 2)
        assert ret == 0
        dataset, ret = acl.mdl.add_dataset_buffer(dataset, acl.create_data_buffer(pointer, size))
        assert ret == 0
        pointers.append((pointer, size))
    return dataset, pointers


inputs, input_memory = new_dataset(acl.mdl.get_num_inputs(desc), acl.mdl.get_input_size_by_index)
outputs, output_memory = new_dataset(
    acl.mdl.get_num_outputs(desc), acl.mdl.get_output_size_by_index
)

dims, ret = acl.mdl.get_input_dims(desc, 0)
item_shape = dims["dims"][1:]
items = np.fromfile(sys.argv[2], dtype=np.float32).reshape(-1, *item_shape)
results = []
host, ret = acl.rt.malloc_host(output_memory[0][1])
assert ret == 0
position = 0
while position < len(items):
    left = len(items) - position
    batch = max((gear for gear in batches if gear <= left), default=batches[0])
    chunk = np.ascontiguousarray(items[position : position + batch])
    pointer, size = input_memory[0]
    data = chunk.ctypes.data
    assert acl.rt.memcpy(pointer, size, data, chunk.nbytes, into_device) == 0
    assert acl.mdl.set_dynamic_batch_size(model_id, inputs, gear_index, batch) == 0
    assert acl.mdl.execute_async(model_id, inputs, outputs, stream) == 0
    assert acl.rt.synchronize_stream_with_timeout(stream, 5000) == 0
    now, ret = acl.mdl.get_cur_output_dims(desc, 0)
    assert ret == 0
    pointer, size = output_memory[0]
    used = int(np.prod(now["dims"])) * 4
    assert acl.rt.memcpy(host, size, pointer, used, out_of_device) == 0
    view = acl.util.ptr_to_numpy(host, tuple(now["dims"]), NPY_FLOAT32)
    results.append(view.copy())
    print("batch", batch)
    position += batch

np.concatenate(results).tofile(sys.argv[3])

acl.rt.free_host(host)
for dataset, memory in ((inputs, input_memory), (outputs, output_memory)):
    for index, (pointer, _) in enumerate(memory):
        acl.destroy_data_buffer(acl.mdl.get_dataset_buffer(dataset, index))
        acl.rt.free(pointer)
    acl.mdl.destroy_dataset(dataset)
acl.mdl.destroy_desc(desc)
acl.mdl.unload(model_id)
acl.rt.destroy_stream(stream)
acl.rt.reset_device(device_id)
acl.finalize()
