"""The film that is streamed: of an even bit rate, its index at the end, and where each of its packets lies."""

import bisect
import json
import os
import subprocess

# What four lines of 1 MiB/s carry is a tenth more than ten times this film's rate: ten minutes of it play in one.
VIDEO_KBIT, AUDIO_KBIT = 2768, 128
# Made once, then repeated.
CLIP_SECONDS = 20


def film(folder, seconds):
    """`film.mkv` in a folder of its own; made once."""
    into = os.path.join(folder, f"film-{seconds}")
    path = os.path.join(into, "film.mkv")
    if os.path.exists(path):
        return path
    os.makedirs(into, exist_ok=True)
    clip, part = os.path.join(into, "clip.mkv"), os.path.join(into, "part.mkv")
    ffmpeg = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
    subprocess.run(
        [*ffmpeg, "-f", "lavfi", "-i", "testsrc2=s=640x360:r=24,noise=alls=60:allf=t", "-f", "lavfi", "-i", "sine=440:r=48000",
         "-t", str(CLIP_SECONDS), "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "48", "-pix_fmt", "yuv420p",
         "-b:v", f"{VIDEO_KBIT}k", "-maxrate", f"{VIDEO_KBIT}k", "-bufsize", f"{VIDEO_KBIT // 2}k",
         "-x264-params", "nal-hrd=cbr:scenecut=0", "-c:a", "aac", "-b:a", f"{AUDIO_KBIT}k", clip],
        check=True,
    )
    subprocess.run(
        [*ffmpeg, "-stream_loop", str(seconds // CLIP_SECONDS - 1), "-i", clip, "-c", "copy", "-t", str(seconds), part],
        check=True,
    )
    os.remove(clip)
    os.rename(part, path)
    return path


class Packets:
    """The video's packets by time."""

    def __init__(self, path):
        saved = path + ".packets"
        if not os.path.exists(saved):
            out = subprocess.run(
                ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time,pos,size",
                 "-of", "json", path],
                check=True, capture_output=True,
            )
            rows = [
                [float(packet["pts_time"]), int(packet["pos"]), int(packet["size"])]
                for packet in json.loads(out.stdout)["packets"]
            ]
            with open(saved, "w") as write:
                json.dump(rows, write)
        with open(saved) as read:
            self.rows = json.load(read)
        self.times = [row[0] for row in self.rows]

    def between(self, start, end):
        """First byte and the one behind the last of what is shown from `start` until `end`, in seconds."""
        rows = self.rows[bisect.bisect_left(self.times, start - 0.01) : bisect.bisect_left(self.times, end - 0.01)]
        return rows[0][1], rows[-1][1] + rows[-1][2]
