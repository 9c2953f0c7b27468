#!/bin/busybox sh
# First process of the test guest: devices first, then the verifying workload takes its place.
/bin/busybox --install -s /bin
export PATH=/bin

mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
exec </dev/console >/dev/console 2>&1

# The cloud kernel has virtio as modules; 0x1af4 is the PCI vendor of virtio devices.
if grep -q 0x1af4 /sys/bus/pci/devices/*/vendor 2>/dev/null; then
  while read -r module; do
    insmod "/modules/$module" || echo "GUEST module $module did not load"
  done </modules/order
fi

for interface in /sys/class/net/*; do
  ip link set "${interface##*/}" up
done

exec /bin/workload
