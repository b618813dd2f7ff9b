//! The line between a node and the hub, which a test can cut: at once, or after so many bytes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// A line; it ends when dropped.
pub struct Line {
    port: u16,
    up: watch::Sender<bool>,
    /// Bytes that still pass towards the node before the line breaks; below 0 for any number.
    budget: Arc<AtomicI64>,
    passed: Arc<AtomicI64>,
    returned: Arc<AtomicI64>,
    /// Bytes towards the node in a tenth of a second; below 0 for any number.
    pace: Arc<AtomicI64>,
    task: Option<JoinHandle<()>>,
}

impl Line {
    /// A line to a port of this machine.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn to(hub: u16) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().map(|address| address.port()).expect("a port");
        let up = watch::Sender::new(true);
        let (budget, passed) = (Arc::new(AtomicI64::new(-1)), Arc::new(AtomicI64::new(0)));
        let (returned, pace) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(-1)));
        let state = (
            up.subscribe(),
            Arc::clone(&budget),
            Arc::clone(&passed),
            Arc::clone(&returned),
            Arc::clone(&pace),
        );
        let task = tokio::spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                let (mut up, budget, passed, returned, pace) = state.clone();
                if !*up.borrow_and_update() {
                    continue;
                }
                tokio::spawn(async move {
                    let Ok(hub) = TcpStream::connect(("127.0.0.1", hub)).await else { return };
                    // As nodes and hub have it: the line adds no waiting of its own.
                    let _ = (node.set_nodelay(true), hub.set_nodelay(true));
                    let (mut node_in, mut node_out) = node.into_split();
                    let (mut hub_in, mut hub_out) = hub.into_split();
                    tokio::select! {
                        () = pass(&mut node_in, &mut hub_out, &UNBROKEN, &returned, &UNBROKEN) => {}
                        () = pass(&mut hub_in, &mut node_out, &budget, &passed, &pace) => {}
                        _ = up.wait_for(|up| !up) => {}
                    }
                });
            }
        });
        Line { port, up, budget, passed, returned, pace, task: Some(task) }
    }

    /// The hub itself: nothing in between that could be cut or that counts. For thousands of nodes.
    pub(super) fn straight(hub: u16) -> Line {
        Line {
            port: hub,
            up: watch::Sender::new(true),
            budget: Arc::default(),
            passed: Arc::default(),
            returned: Arc::default(),
            pace: Arc::default(),
            task: None,
        }
    }

    /// The port at the node's end.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the node finds the hub.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Breaks every connection, and refuses new ones.
    pub fn cut(&self) {
        self.up.send_replace(false);
    }

    /// Mends the line.
    pub fn restore(&self) {
        self.budget.store(-1, Ordering::SeqCst);
        self.up.send_replace(true);
    }

    /// Breaks the connection after so many more bytes towards the node; later ones are whole.
    pub fn break_after(&self, bytes: u32) {
        self.budget.store(i64::from(bytes), Ordering::SeqCst);
    }

    /// Lets so many bytes pass towards the node in a tenth of a second; none for any number.
    pub fn slow_down(&self, bytes: Option<u16>) {
        self.pace.store(bytes.map_or(-1, i64::from), Ordering::SeqCst);
    }

    /// Bytes that have passed towards the node.
    #[must_use]
    pub fn bytes(&self) -> i64 {
        self.passed.load(Ordering::SeqCst)
    }

    /// Bytes that have passed towards the hub.
    #[must_use]
    pub fn bytes_to_hub(&self) -> i64 {
        self.returned.load(Ordering::SeqCst)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.cut();
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Of a direction that is never broken in the middle, and never slow.
static UNBROKEN: AtomicI64 = AtomicI64::new(-1);

async fn pass(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    budget: &AtomicI64,
    passed: &AtomicI64,
    pace: &AtomicI64,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let most = match usize::try_from(pace.load(Ordering::SeqCst)) {
            Ok(slow) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                slow.clamp(1, buffer.len())
            }
            Err(_) => buffer.len(),
        };
        let Ok(read) = from.read(&mut buffer[..most]).await else { return };
        if read == 0 {
            return;
        }
        let left = budget.load(Ordering::SeqCst);
        let allowed = if left < 0 { read } else { read.min(usize::try_from(left).unwrap_or(0)) };
        if to.write_all(&buffer[..allowed]).await.is_err() {
            return;
        }
        passed.fetch_add(allowed as i64, Ordering::SeqCst);
        if left >= 0 {
            budget.store(left - allowed as i64, Ordering::SeqCst);
            if allowed < read {
                budget.store(-1, Ordering::SeqCst);
                return;
            }
        }
    }
}
