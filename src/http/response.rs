//! The body of a response.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;

/// An error of a body that is read or streamed.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// Why a streamed [`Body`] ended early.
#[derive(Debug, thiserror::Error)]
#[error("the body ended early")]
pub struct BodyError(#[source] BoxError);

/// The body of a response from [`Auth::respond`](crate::Auth::respond): bytes that are all there, or a stream.
///
/// It is an [`http_body::Body`]; [`into_bytes`](Self::into_bytes) returns the bytes of one that is not a stream.
pub struct Body(Kind);

enum Kind {
    /// No body at all, as of a 204.
    None,
    Whole(Option<Bytes>),
    Stream(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError> + Send>>),
}

impl Body {
    pub(super) fn none() -> Self {
        Self(Kind::None)
    }

    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Whole(Some(bytes.into())))
    }

    pub(super) fn stream<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Kind::Stream(Box::pin(body.map_err(|error| BodyError(error.into())))))
    }

    /// The bytes of this body, unless it is a stream, which is then returned unchanged.
    ///
    /// # Errors
    /// The body itself, if it is a stream.
    pub fn into_bytes(self) -> Result<Bytes, Self> {
        match self.0 {
            Kind::None => Ok(Bytes::new()),
            Kind::Whole(bytes) => Ok(bytes.unwrap_or_default()),
            Kind::Stream(_) => Err(self),
        }
    }

    /// The length in bytes, where it is known: not of a stream.
    pub(super) fn length(&self) -> Option<u64> {
        http_body::Body::size_hint(self).exact()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::whole(bytes)
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::None => f.write_str("Body(none)"),
            Kind::Whole(_) => f.write_str("Body(..)"),
            Kind::Stream(_) => f.write_str("Body(stream)"),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::None => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Stream(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::None => true,
            Kind::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Kind::Stream(body) => body.is_end_stream(),
        }
    }

    /// A 204 must not have a length (RFC 9110 section 8.6), so an answer without a body tells none.
    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::None => SizeHint::default(),
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Stream(body) => body.size_hint(),
        }
    }
}
