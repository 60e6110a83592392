"""The contract of gw: the words, states, keys, messages and atomic moves that all services share.

Standard library and redis only. Services never import each other; they meet here.
"""
