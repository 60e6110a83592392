"""The picture units (DVPP) through ``acl.media``: JPEG decoding and encoding, scaling, pasting.

::

    formats    pixel formats, strides and sizes, as the units ask for them
    picture    a picture in the units' memory
    channel    a channel opened, with its stream: what is queued, and the wait for it
    jpeg       decoding and encoding
    scaling    resize, crop, crop and paste, colour conversion
    unit       Dvpp: all of it, for whoever works on one picture at a time
    feeder     the pictures of a batch, decoded and laid out in a model's input

Nobody above sees a pointer, but where a picture's memory is handed over on purpose.
"""
