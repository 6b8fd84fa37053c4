//! A request's two ends: the samples that go in, kept so that they can go in again, and what comes out, told once.

use std::{
    fmt,
    future::poll_fn,
    task::{Context, Poll, Waker},
};

use container::Sample;
use tokio::sync::{mpsc, oneshot};
use worker_protocol::OutputTrack;

use super::{SampleStream, TranscodeError, limits::KEPT_INPUT_BYTES_MAX, worker::Ended};
use crate::MediaError;

/// The samples of a request.
pub(super) struct Input {
    stream: Option<SampleStream>,
    kept: Vec<Sample>,
    kept_bytes: usize,
    /// The next of `kept` to be sent.
    at: usize,
    /// The stream has ended.
    ended: bool,
    /// Too much to be kept: this cannot be sent again.
    spilt: bool,
}

impl Input {
    pub(super) fn new(stream: Option<SampleStream>) -> Self {
        Self { stream, kept: Vec::new(), kept_bytes: 0, at: 0, ended: false, spilt: false }
    }

    /// Whether the request has no samples, nor the end of them.
    pub(super) fn is_none(&self) -> bool {
        self.stream.is_none()
    }

    /// From the start again, if that can be.
    pub(super) fn rewind(&mut self) -> bool {
        self.at = 0;
        !self.spilt
    }

    /// The next sample, if it need not be waited for.
    pub(super) fn ready(&mut self) -> Option<Result<Option<Sample>, MediaError>> {
        match self.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(sample) => Some(sample),
            Poll::Pending => None,
        }
    }

    /// The next sample; `None` after the last one.
    pub(super) async fn next(&mut self) -> Result<Option<Sample>, MediaError> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Sample>, MediaError>> {
        if let Some(sample) = self.kept.get(self.at) {
            self.at += 1;
            return Poll::Ready(Ok(Some(sample.clone())));
        }
        let Some(stream) = self.stream.as_mut().filter(|_| !self.ended) else { return Poll::Ready(Ok(None)) };
        let Poll::Ready(next) = stream.as_mut().poll_next(cx) else { return Poll::Pending };
        let Some(sample) = next.transpose()? else {
            self.ended = true;
            return Poll::Ready(Ok(None));
        };
        self.kept_bytes = self.kept_bytes.saturating_add(sample.data.len());
        if self.spilt || self.kept_bytes > KEPT_INPUT_BYTES_MAX {
            self.spilt = true;
            self.kept = Vec::new();
        } else {
            self.kept.push(sample.clone());
        }
        self.at = self.kept.len();
        Poll::Ready(Ok(Some(sample)))
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("kept", &self.kept.len())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

type Answer = Result<Sample, TranscodeError>;

/// Whoever asked. What a second worker makes again is told from what was given already and not given twice: the same
/// samples encode to the same bytes, and it is looked at whether they did.
#[derive(Debug)]
pub(super) struct Output {
    samples: mpsc::Sender<Answer>,
    started: Option<oneshot::Sender<Result<OutputTrack, TranscodeError>>>,
    track: Option<OutputTrack>,
    /// Of what was given: how many samples, and a sum over them.
    given: usize,
    sum: crc32fast::Hasher,
    /// Of what is made again.
    again: usize,
    again_sum: crc32fast::Hasher,
}

impl Output {
    pub(super) fn new(
        samples: mpsc::Sender<Answer>,
        started: oneshot::Sender<Result<OutputTrack, TranscodeError>>,
    ) -> Self {
        Self {
            samples,
            started: Some(started),
            track: None,
            given: 0,
            sum: crc32fast::Hasher::new(),
            again: 0,
            again_sum: crc32fast::Hasher::new(),
        }
    }

    /// Another worker begins at the start.
    pub(super) fn rewind(&mut self) {
        self.again = 0;
        self.again_sum = crc32fast::Hasher::new();
    }

    /// Waits until nobody wants the answer.
    pub(super) fn abandoned(&self) -> impl Future<Output = ()> + use<> {
        let samples = self.samples.clone();
        async move { samples.closed().await }
    }

    pub(super) fn track(&mut self, track: OutputTrack) -> Result<(), Ended> {
        match &self.track {
            Some(known) if *known != track => {
                Err(Ended::Lost(Some("changed its mind on the track".to_owned())))
            }
            Some(_) => Ok(()),
            None => {
                self.track = Some(track.clone());
                match self.started.take().map(|started| started.send(Ok(track))) {
                    Some(Err(_)) => Err(Ended::Abandoned),
                    _ => Ok(()),
                }
            }
        }
    }

    pub(super) async fn sample(&mut self, sample: Sample) -> Result<(), Ended> {
        if self.track.is_none() {
            return Err(Ended::Lost(Some("sent a sample before the track".to_owned())));
        }
        add(&mut self.again_sum, &sample);
        self.again += 1;
        if self.again <= self.given {
            let same =
                self.again < self.given || self.again_sum.clone().finalize() == self.sum.clone().finalize();
            return if same {
                Ok(())
            } else {
                Err(Ended::Lost(Some("made something else than before".to_owned())))
            };
        }
        add(&mut self.sum, &sample);
        self.given += 1;
        self.samples.send(Ok(sample)).await.map_err(|_| Ended::Abandoned)
    }

    /// The last word of a request that failed.
    pub(super) async fn fail(mut self, error: TranscodeError) {
        match self.started.take() {
            Some(started) => drop(started.send(Err(error))),
            None => drop(self.samples.send(Err(error)).await),
        }
    }
}

fn add(sum: &mut crc32fast::Hasher, sample: &Sample) {
    sum.update(&sample.pts.to_le_bytes());
    sum.update(&sample.dts.to_le_bytes());
    sum.update(&sample.data);
}
