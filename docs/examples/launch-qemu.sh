#!/usr/bin/env bash
# Moves a QEMU guest between two sets of services, starting both QEMUs here: docs/launch-it-yourself.md.
# Usage: launch-qemu.sh [SOURCE-AGENT [DESTINATION-AGENT]]; UMEMCTL names the program.
set -euo pipefail

SOURCE=${1:-127.0.0.1:7001}
DESTINATION=${2:-127.0.0.1:7002}
read -ra umemctl <<<"${UMEMCTL:-umemctl}"
MACHINE=(-machine q35,memory-backend=ram0 -m 512 -smp 1 -nodefaults -display none)

work=$(mktemp -d)
source_ram=$(mktemp /dev/shm/web1.XXXXXX)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work" "$source_ram"' EXIT

# 1. The source VM: RAM shared, and a QMP socket. Nothing else is special about it.
qemu-system-x86_64 "${MACHINE[@]}" \
  -object "memory-backend-file,id=ram0,size=512M,mem-path=$source_ram,share=on" \
  -qmp "unix:$work/source.qmp,server=on,wait=off" &
"${umemctl[@]}" vm register web1 --agent "$SOURCE" --qmp "$work/source.qmp"

# 2. Prepare the destination.
prepared=$("${umemctl[@]}" incoming prepare web1 --agent "$DESTINATION" --source "$SOURCE" --json)

# 3. Start the destination VMM from it: same machine, printed RAM, environment and QMP path.
mapfile -t environment < <(jq -r '.env | to_entries[] | "\(.key)=\(.value)"' <<<"$prepared")
mapfile -t ram < <(jq -r '.ram[] | "-object",
  "memory-backend-file,id=\(.id),size=\(.size),mem-path=\(.path),share=on"' <<<"$prepared")
env "${environment[@]}" qemu-system-x86_64 "${MACHINE[@]}" "${ram[@]}" \
  -qmp "unix:$(jq -r .qmp <<<"$prepared"),server=on,wait=off" -incoming defer &

# 4. Move it.
"${umemctl[@]}" migrate web1 --source "$SOURCE" --destination "$DESTINATION"

# Tidy up: this was an example.
"${umemctl[@]}" vm unregister web1 --agent "$SOURCE"
"${umemctl[@]}" incoming forget web1 --agent "$DESTINATION"
