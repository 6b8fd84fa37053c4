#!/usr/bin/env bash
# Installs the Debian packages that are missing, and says which: `scripts/setup.sh build|demo|test|bench`.
# Each row is "what is looked for: packages"; a program that is already there, from wherever, is left alone.
set -euo pipefail

what=${1:?usage: setup.sh build|demo|test|bench}
build=("cc: gcc libc6-dev" "pkg-config: pkg-config" "libclang: libclang-dev" "pkg:libavutil: libavutil-dev"
  "pkg:libavcodec: libavcodec-dev" "pkg:libavfilter: libavfilter-dev")
demo=("ffmpeg: ffmpeg" "/etc/ssl/certs/ca-certificates.crt: ca-certificates" "node>=18: nodejs" "npm: npm")
tests=("python3: python3" "libtorrent: python3 python3-libtorrent" "transmission-daemon: transmission-daemon transmission-cli"
  "transmission-show: transmission-cli" "aria2c: aria2" "opentracker: opentracker" "nginx: nginx-light" "ip: iproute2"
  "mkvmerge: mkvtoolnix" "chromium: chromium" "mpv: mpv" "vlc: vlc-bin vlc-plugin-base"
  "ffplay: ffmpeg"
  "gst-launch-1.0: gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav"
  "gst:h264parse: gstreamer1.0-plugins-bad" "gst:avdec_h264: gstreamer1.0-libav" "gst:souphttpsrc: gstreamer1.0-plugins-good"
  "ip: iproute2" "nft: nftables" "sysctl: procps")
bench=("nginx: nginx-light" "python3: python3" "chromium: chromium" "aria2c: aria2" "transmission-cli: transmission-cli"
  "/usr/lib/python3/dist-packages/libtorrent.egg-info: python3-libtorrent" "python:ensurepip: python3-venv" "ip: iproute2")

case $what in
  build) rows=("${build[@]}") ;;
  demo) rows=("${build[@]}" "${demo[@]}") ;;
  test) rows=("${build[@]}" "${demo[@]}" "${tests[@]}") ;;
  bench) rows=("${build[@]}" "${demo[@]}" "${bench[@]}") ;;
  *) echo "setup.sh: unknown set: $what" >&2; exit 2 ;;
esac

there() {
  case $1 in
    /*) [ -e "$1" ] ;;
    python:*) python3 -c "import ${1#python:}" 2>/dev/null ;;
    libtorrent) [ -x /usr/bin/python3 ] && /usr/bin/python3 -c "import libtorrent" 2>/dev/null ;;
    pkg:*) command -v pkg-config >/dev/null && pkg-config --exists "${1#pkg:}" ;;
    # The library, which libclang-cpp is not, and the compiler's own headers.
    libclang) [ -n "$(compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' | grep -v libclang-cpp)" ] \
      && compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' >/dev/null ;;
    gst:*) command -v gst-inspect-1.0 >/dev/null && gst-inspect-1.0 --exists "${1#gst:}" 2>/dev/null ;;
    node\>=*) [ "$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge "${1#*=}" ] ;;
    nginx) [ -x /usr/sbin/nginx ] || command -v nginx >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

missing=()
for row in "${rows[@]}"; do
  name=${row%: *}
  if ! there "$name"; then read -ra packages <<<"${row##*: }"; missing+=("${packages[@]}"); fi
done
command -v cargo >/dev/null || { echo "setup.sh: no Rust toolchain: install one from https://rustup.rs" >&2; exit 1; }
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "setup.sh: missing, and this is not Debian: ${missing[*]}. Install their like and run this again." >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup.sh: as root: apt-get install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "installing Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Lists that are absent or older than a day answer with packages that are no longer there.
if [ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -1 -print -quit 2>/dev/null)" ]; then
  "${as_root[@]}" apt-get update -q
fi
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
for row in "${rows[@]}"; do
  there "${row%: *}" || { echo "setup.sh: still missing after installing: ${row%: *}" >&2; exit 1; }
done
