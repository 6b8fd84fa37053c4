#!/usr/bin/env bash
# make_film.sh OUTDIR: the film that bench-media measures with: 600 s of 1080p24 H.264 High with B-frames and irregular
# keyframes, AAC stereo, AC-3 5.1, subtitles; as Matroska and as MP4 with its index at the end. Seeded: the same film
# each time. Needs ffmpeg and python3; about two minutes and 500 MB. Keeps what is there.
set -euo pipefail
out=${1:?usage: make_film.sh OUTDIR}; mkdir -p "$out"; cd "$out"
[ -s main.mkv ] && [ -s main.mp4 ] && exit 0
python3 - > film.graph <<'PY'
import random
r = random.Random(20261121); left, i, names = 600 * 24, 0, []
kinds = ["testsrc2=s=1920x1080:r=24:d={d},hue=h={h}", "smptehdbars=s=1920x1080:r=24:d={d},hue=h={h}",
         "gradients=s=480x270:r=24:d={d}:seed={s}:n=5:speed=0.02,scale=1920:1080:flags=fast_bilinear",
         "color=c=0x{c:06x}:s=240x134:r=24:d={d},noise=alls=40:allf=t:all_seed={s},scale=1920:1080:flags=fast_bilinear",
         "cellauto=s=240x135:r=24:rule=110:seed={s}:scroll=1,scale=1920:1080:flags=neighbor"]
while left > 0:
    n = min(left, r.randint(48, 240))
    if left - n < 48: n = left
    g = r.choice(kinds).format(d=(n + 2) / 24, h=r.randint(0, 359), s=r.randint(1, 10**6), c=r.randint(0, 0xffffff))
    print(f"{g},trim=end_frame={n},setpts=PTS-STARTPTS,setsar=1,format=yuv420p[s{i}];"); names.append(f"[s{i}]"); left -= n; i += 1
print("".join(names) + f"concat=n={i}:v=1:a=0,fps=24[v]")
PY
python3 - > film.srt <<'PY'
for i in range(1, 200):
    t = i * 3 - 2
    print(f"{i}\n{t//3600:02}:{t//60%60:02}:{t%60:02},000 --> {t//3600:02}:{t//60%60:02}:{t%60:02},900\nLine {i}\n")
PY
ff=(ffmpeg -hide_banner -loglevel error -nostdin -y)
echo "making a film of 600 s in $out (once)"
"${ff[@]}" -filter_complex_script film.graph \
  -f lavfi -i "aevalsrc='0.4*sin(2*PI*440*t)*lt(mod(t,1),0.12)|0.4*sin(2*PI*660*t)*lt(mod(t,1),0.12)':s=48000:c=stereo" \
  -f lavfi -i "aevalsrc='0.2*sin(2*PI*220*t)|0.2*sin(2*PI*277*t)|0.3*sin(2*PI*880*t)|0.2*sin(2*PI*55*t)|0.1*sin(2*PI*330*t)|0.1*sin(2*PI*440*t)':s=48000:c=5.1" \
  -i film.srt -map '[v]' -map 0:a -map 1:a -map 2 -t 600 -c:v libx264 -preset superfast -profile:v high -bf 3 \
  -x264-params keyint=250:min-keyint=24 -crf 23 -maxrate 3000k -bufsize 6000k -c:a:0 aac -b:a:0 160k -c:a:1 ac3 -b:a:1 384k \
  -c:s srt -metadata:s:a:0 language=eng -metadata:s:a:1 language=fra -metadata:s:s:0 language=eng main.part.mkv
mv main.part.mkv main.mkv
"${ff[@]}" -i main.mkv -map 0:v -map 0:a -map 0:s -c copy -c:s mov_text main.part.mp4; mv main.part.mp4 main.mp4
rm -f film.graph film.srt; ls -l main.mkv main.mp4
