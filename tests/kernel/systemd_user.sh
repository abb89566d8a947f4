#!/bin/sh
# A systemd of its own, for a user's services, in namespaces of its own: `systemd_user.sh FOLDER UNIT-SETTING…` starts
# `sleep 1000` as a service with these settings, says "ready", and takes all away again when standard input ends.
folder=$1
shift
export XDG_RUNTIME_DIR=/run/user-of-test
mount -t tmpfs none /run && mkdir -p /run/systemd/system "$XDG_RUNTIME_DIR/systemd" && chmod 700 "$XDG_RUNTIME_DIR" || exit 1
umount -R /sys/fs/cgroup 2>/dev/null
mount -t cgroup2 none /sys/fs/cgroup && mkdir "/sys/fs/cgroup/$folder" || exit 1
echo $$ > "/sys/fs/cgroup/$folder/cgroup.procs"
unshare --cgroup --mount sh -c '
    mount -t cgroup2 none /sys/fs/cgroup
    systemd=$(PATH=/lib/systemd:/usr/lib/systemd command -v systemd)
    "$systemd" --user --log-target=null --show-status=no &
    for _ in $(seq 100); do systemctl --user is-system-running >/dev/null 2>&1 && break; sleep 0.1; done
    systemd-run --quiet --user "$@" sleep 1000 && echo ready
    wait
' sh "$@" &
cat > /dev/null
echo 1 > "/sys/fs/cgroup/$folder/cgroup.kill"
wait
echo $$ > /sys/fs/cgroup/cgroup.procs
for _ in $(seq 50); do
    find "/sys/fs/cgroup/$folder" -depth -type d -exec rmdir {} + 2>/dev/null && break
    sleep 0.1
done
