"""The NPU through pyACL, without a pointer in sight of anybody above.

::

    codes        what each return code means: cause, fix, and who is to blame
    errors       AclFailure: a call that failed, and the error of ours that it becomes
    calls        return codes checked; the last error text fetched
    session      the device opened: context, stream, run mode; closed in the right order
    memory       buffers on the device, and copies to and from them
    datasets     buffers in the order of a model's inputs or outputs
    pixel_unit   dynamic AIPP, set from the model card
    tensors      a model's inputs and outputs in numpy's words
    om_facts     what an OM file says of itself, read without a device
    model        a loaded model: its description and its two sets of buffers
    staged       a batch brought to one of them, run and read
    dvpp/        the picture units

Only modules of this package import ``acl``. Everything is closed explicitly: a destructor would run
in an order that nobody chose, after the device has gone.
"""
