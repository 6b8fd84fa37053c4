#!/usr/bin/env bash
# Makes the seeds in fuzz/corpus: films of a few tiny frames in every codec and container, and the configuration records
# in them; what the swarm sends was written by hand or by a connection of ours. They are tracked, so this is run only to add some. Needs ffmpeg, mkvmerge and python3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/corpus"
export SVT_LOG=1
mkdir -p film
exact=(-flags:v +bitexact -flags:a +bitexact -fflags +bitexact -map_metadata -1 -threads 1)
ff() { ffmpeg -hide_banner -loglevel error -nostdin -y "$@"; }
# tiny NAME VIDEO-OPTIONS... -- AUDIO-OPTIONS...
tiny() {
  local name=$1 video=() audio=()
  shift
  while [ "$1" != -- ]; do video+=("$1"); shift; done
  shift
  audio=("$@")
  ff -f lavfi -i testsrc2=size=64x64:rate=10:duration=0.8 -f lavfi -i sine=duration=0.8:sample_rate=48000 "${video[@]}" "${audio[@]}" "${exact[@]}" "film/$name"
}
x264=(-c:v libx264 -preset veryfast -x264-params "keyint=4:scenecut=0:bframes=2" -crf 45 -pix_fmt yuv420p)
tiny avc-aac.mkv "${x264[@]}" -- -c:a aac -b:a 16k
tiny avc-ac3.mp4 "${x264[@]}" -- -c:a ac3 -b:a 32k -ac 1
tiny avc-eac3.mkv "${x264[@]}" -- -c:a eac3 -b:a 32k -ac 1
tiny avc-mp3.mp4 "${x264[@]}" -- -c:a libmp3lame -b:a 32k
tiny avc-flac.mp4 "${x264[@]}" -- -c:a flac -strict -2 -ar 8000 -sample_fmt s16
tiny hevc-opus.mkv -c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=4:pools=1 -crf 45 -- -c:a libopus -b:a 8k
tiny hevc-opus.mp4 -c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=4:pools=1 -crf 45 -tag:v hvc1 -- -c:a libopus -b:a 8k
tiny vp9-opus.webm -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -crf 60 -b:v 0 -g 4 -- -c:a libopus -b:a 8k
tiny vp9-flac.mkv -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -crf 60 -b:v 0 -g 4 -- -c:a flac -ar 8000 -sample_fmt s16
tiny av1-opus.mp4 -c:v libsvtav1 -preset 12 -crf 60 -g 4 -svtav1-params lp=1 -- -c:a libopus -b:a 8k
tiny av1-aac.mkv -c:v libsvtav1 -preset 12 -crf 60 -g 4 -svtav1-params lp=1 -- -c:a aac -b:a 16k
tiny fragmented.mp4 "${x264[@]}" -- -c:a aac -b:a 16k -movflags +frag_keyframe+empty_moov+default_base_moof
tiny dash.mp4 "${x264[@]}" -- -c:a aac -b:a 16k -movflags +dash+global_sidx -frag_duration 300000
tiny faststart.mp4 "${x264[@]}" -- -c:a aac -b:a 16k -movflags +faststart
tiny live.mkv "${x264[@]}" -- -c:a aac -b:a 16k -live 1
printf '1\n00:00:00,100 --> 00:00:00,400\n<i>One</i> & two\n\n2\n00:00:00,300 --> 00:00:00,700\n{\\an8}Over\n\n' > subtitles.srt
ff -i film/avc-aac.mkv -i subtitles.srt -map 0 -map 1 -map 1 -c copy -c:s:0 srt -c:s:1 ass "${exact[@]}" film/subtitles.mkv
ff -i film/avc-aac.mkv -i subtitles.srt -map 0 -map 1 -c copy -c:s mov_text "${exact[@]}" film/subtitles.mp4
mkvmerge --quiet --deterministic 7 --no-date -o film/mkvmerge.mkv --compression 2:zlib film/subtitles.mkv
mkvmerge --quiet --deterministic 7 --no-date -o unlaced.mkv --disable-lacing film/subtitles.mkv
for mode in lace-ebml lace-xiph strip-headers block-groups unknown-sizes seekhead-at-end false-cues; do
  python3 "$here/../tests/fixtures/ebml_edit.py" "$mode" unlaced.mkv "film/$mode.mkv"
done
rm -f unlaced.mkv subtitles.srt
python3 - <<'PY'
import os, subprocess
def save(kind, name, record, frame=b""):
    os.makedirs(kind, exist_ok=True)
    record = record[:255]
    open(f"{kind}/{name}", "wb").write(bytes([len(record)]) + record + frame[:600])
def box(data, kind, skip=0):
    at = data.find(kind)
    size = int.from_bytes(data[at - 4:at], "big")
    return data[at + 4 + skip:at - 4 + size]
def frames(film, stream, count=3):
    out = subprocess.run(["ffprobe", "-v", "error", "-select_streams", stream, "-show_entries", "packet=pos,size", "-of",
                          "csv=p=0", film], capture_output=True, text=True, check=True).stdout
    data = open(film, "rb").read()
    rows = [[int(f) for f in line.split(",") if f.isdigit()] for line in out.split()]
    return [data[pos:pos + size] for size, pos in rows[:count]]
for kind, film, name, stream, skip in [
    ("avc", "avc-ac3.mp4", b"avcC", "v", 0), ("hevc", "hevc-opus.mp4", b"hvcC", "v", 0), ("av1", "av1-opus.mp4", b"av1C", "v", 0),
    ("opus", "av1-opus.mp4", b"dOps", "a", 0), ("flac", "avc-flac.mp4", b"dfLa", "a", 4)]:
    path = f"film/{film}"
    for n, frame in enumerate(frames(path, stream)):
        save(kind, f"{film}-{n}", box(open(path, "rb").read(), name, skip), frame)
for n, frame in enumerate(frames("film/faststart.mp4", "a")):
    save("aac", f"lc-{n}", bytes([0x11, 0x90]), frame)
save("aac", "he-explicit", bytes([0x2b, 0x92, 0x08, 0x00]))
save("aac", "he-backward", bytes([0x13, 0x90, 0x56, 0xe5, 0xa0]))
save("aac", "program-config", bytes([0x11, 0x80, 0x04, 0xc8, 0x44, 0x00, 0x20, 0x00, 0xc4, 0x0c, 0x4c, 0x61, 0x76, 0x63]))
save("vp9", "vpcC", bytes([1, 0, 0, 0, 0, 10, 0x82, 2, 2, 2, 0, 0]), frames("film/vp9-opus.webm", "v", 1)[0])
for film, kind in [("avc-ac3.mp4", "ac3"), ("avc-mp3.mp4", "mp3")]:
    for n, frame in enumerate(frames(f"film/{film}", "a")):
        save("frames", f"{kind}-{n}", b"", frame)
for n, text in enumerate(["<i>One</i> & two", "{\\an8}Over\\NTwo lines", "0,0,Default,,0,0,0,,{\\b1}Bold{\\b0} text", "a --> b\n\nc"]):
    save("subtitles", f"text-{n}", b"", text.encode())
save("subtitles", "tx3g", b"", b"\x00\x05Hello\x00\x00\x00\x16styl\x00\x01\x00\x00\x00\x05\x00\x01\x01\x12\xff\xff\xff\xff")
PY
du -sh .
