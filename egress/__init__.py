"""Outbound HTTP to checked addresses: the only door through which gw calls where others tell it to.

The webapp fetches pictures by URL through it, the notifier delivers webhooks. A name is resolved
once per connection, every address of the answer is judged, and exactly a judged address is dialled.
"""
