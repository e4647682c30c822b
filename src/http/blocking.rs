//! The client for code that blocks: sources run on threads of their own and read like a list of
//! steps.

use tokio::runtime::Handle;

use super::{Client, HttpError, Request, Response};

/// A [`Client`] whose calls block the thread. Cheap to clone.
///
/// The runtime must be of the kind with several threads. The thread must not be one that runs
/// the runtime's futures: use `std::thread` or `spawn_blocking`.
#[derive(Clone, Debug)]
pub struct BlockingClient {
    client: Client,
    handle: Handle,
}

impl BlockingClient {
    /// `client`, run by the runtime of `handle`.
    pub fn new(client: Client, handle: Handle) -> Self {
        Self { client, handle }
    }

    /// The client inside.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// This client, telling `observer` of each call as well. See [`Client::with_observer`].
    pub fn with_observer(&self, observer: impl Fn(&super::Call) + Send + Sync + 'static) -> Self {
        Self { client: self.client.clone().with_observer(observer), handle: self.handle.clone() }
    }

    /// Sends a request and waits for its answer. See [`Client::send`].
    ///
    /// # Errors
    ///
    /// Those of [`Client::send`].
    pub fn send(&self, request: Request) -> Result<Response, HttpError> {
        self.handle.block_on(self.client.send(request))
    }

    /// [`send`](Self::send) with [`Request::get`].
    ///
    /// # Errors
    ///
    /// Those of [`Client::send`].
    pub fn get(&self, url: impl AsRef<str>) -> Result<Response, HttpError> {
        self.send(Request::get(url))
    }

    /// Runs something async of this client, such as [`Robots::check`](super::Robots::check).
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.handle.block_on(future)
    }
}
