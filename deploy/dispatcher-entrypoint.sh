#!/bin/sh
# Becomes the service, after the two daemons that the NPU's driver talks to. The host lends them; where
# it does not (no NPU, or the host's own are shared), there is nothing to start.
set -eu

# In a subshell each: so they are children of PID 1, which reaps them, and not of the service.
if [ -x /var/dmp_daemon ]; then
    mkdir -p /dev/shm/dmp "${HOME:-/home/HwHiAiUser}/hdc_ppc"
    (/var/dmp_daemon -I -M -U 8087 &)
fi
if [ -x /var/slogd ]; then
    (/var/slogd -d &)
fi

# exec: signals reach the service itself.
exec "$@"
