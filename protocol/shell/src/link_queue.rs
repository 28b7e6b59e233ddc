//! The bytes of a link within one process: two bounded queues of batches, one each way.
//!
//! It knows no runtime: whoever waits leaves a [`Waker`], of a task or of a thread. What is in a batch is the
//! business of `protocol::link`. A full queue makes its sender wait; the credits of the link keep that rare.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use protocol::link::Batch;

/// Batches queued each way. A window of the link is 8 MiB and a batch aims at 256 KiB, so a busy link fits; more small
/// batches than that mean that the receiver is late, and they will be larger when they leave.
pub const LINK_BATCHES_MAX: usize = 32;

/// Batches that were read and whose memory waits for the sender.
const SPENT_MAX: usize = 4;

/// One end of a link. Dropping it tells the other end.
pub struct LinkTransport {
    /// Towards the other end.
    pub sender: BatchSender,
    /// From the other end.
    pub receiver: BatchReceiver,
}

/// The sending end of one direction.
pub struct BatchSender(Arc<Direction>);

/// The receiving end of one direction.
pub struct BatchReceiver(Arc<Direction>);

/// The other end is gone. What it had not received is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkClosed;

struct Direction(Mutex<Queue>);

struct Queue {
    batches: VecDeque<Batch>,
    batches_max: usize,
    spent: Vec<Batch>,
    is_closed: bool,
    waiting_receiver: Option<Waker>,
    waiting_sender: Option<Waker>,
}

impl LinkTransport {
    /// Both ends of a new link, with at most `batches_max` batches queued each way.
    pub fn pair(batches_max: usize) -> (LinkTransport, LinkTransport) {
        assert!(batches_max > 0, "a queue of nothing never moves");
        let (near_sender, far_receiver) = direction(batches_max);
        let (far_sender, near_receiver) = direction(batches_max);
        (
            LinkTransport { sender: near_sender, receiver: near_receiver },
            LinkTransport { sender: far_sender, receiver: far_receiver },
        )
    }
}

fn direction(batches_max: usize) -> (BatchSender, BatchReceiver) {
    let direction = Arc::new(Direction(Mutex::new(Queue {
        batches: VecDeque::new(),
        batches_max,
        spent: Vec::new(),
        is_closed: false,
        waiting_receiver: None,
        waiting_sender: None,
    })));
    (BatchSender(direction.clone()), BatchReceiver(direction))
}

impl BatchSender {
    /// Whether there is room for a batch. Only one sender: the room stays until [`Self::send`].
    pub fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<Result<(), LinkClosed>> {
        let mut queue = self.0.lock();
        if queue.is_closed {
            return Poll::Ready(Err(LinkClosed));
        }
        if queue.batches.len() < queue.batches_max {
            return Poll::Ready(Ok(()));
        }
        queue.waiting_sender = Some(context.waker().clone());
        Poll::Pending
    }

    /// Ready when the other end is gone. It takes the place of a [`Self::poll_room`] that waits.
    pub fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<LinkClosed> {
        let mut queue = self.0.lock();
        if queue.is_closed {
            return Poll::Ready(LinkClosed);
        }
        queue.waiting_sender = Some(context.waker().clone());
        Poll::Pending
    }

    /// A batch that the other end has read and given back: its memory may serve again.
    pub fn take_spent(&mut self) -> Option<Batch> {
        self.0.lock().spent.pop()
    }

    /// Queues a batch. Only after [`Self::poll_room`] was ready, once.
    pub fn send(&mut self, batch: impl Into<Batch>) -> Result<(), LinkClosed> {
        let mut queue = self.0.lock();
        if queue.is_closed {
            return Err(LinkClosed);
        }
        assert!(queue.batches.len() < queue.batches_max, "send follows a poll_room that was ready");
        queue.batches.push_back(batch.into());
        let waiting = queue.waiting_receiver.take();
        drop(queue);
        waiting.inspect(Waker::wake_by_ref);
        Ok(())
    }
}

impl BatchReceiver {
    /// Has read a batch: its memory goes back to the sender, or is freed where that has enough.
    pub fn give_back(&mut self, batch: Batch) {
        let mut queue = self.0.lock();
        if queue.spent.len() < SPENT_MAX {
            queue.spent.push(batch);
        }
    }

    /// The next batch in order. After the other end is gone, first what it had sent, then [`LinkClosed`].
    pub fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<Batch, LinkClosed>> {
        let mut queue = self.0.lock();
        let Some(batch) = queue.batches.pop_front() else {
            if queue.is_closed {
                return Poll::Ready(Err(LinkClosed));
            }
            queue.waiting_receiver = Some(context.waker().clone());
            return Poll::Pending;
        };
        let waiting = queue.waiting_sender.take();
        drop(queue);
        waiting.inspect(Waker::wake_by_ref);
        Poll::Ready(Ok(batch))
    }
}

impl Drop for BatchSender {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.is_closed = true;
        let waiting = queue.waiting_receiver.take();
        drop(queue);
        waiting.inspect(Waker::wake_by_ref);
    }
}

impl Drop for BatchReceiver {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.is_closed = true;
        queue.batches.clear();
        let waiting = queue.waiting_sender.take();
        drop(queue);
        waiting.inspect(Waker::wake_by_ref);
    }
}

impl Direction {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct WakeCount(AtomicUsize);

    impl Wake for WakeCount {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn batches_arrive_in_order_and_wake_who_waits() {
        let (mut near, mut far) = LinkTransport::pair(2);
        let count = Arc::new(WakeCount::default());
        let waker = Waker::from(count.clone());
        let mut context = Context::from_waker(&waker);
        assert_eq!(far.receiver.poll_receive(&mut context), Poll::Pending);
        assert_eq!(near.sender.poll_room(&mut context), Poll::Ready(Ok(())));
        assert_eq!(near.sender.send(vec![1]), Ok(()));
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert_eq!(near.sender.send(vec![2]), Ok(()));
        assert_eq!(near.sender.poll_room(&mut context), Poll::Pending);
        assert_eq!(far.receiver.poll_receive(&mut context), Poll::Ready(Ok(vec![1].into())));
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
        assert_eq!(near.sender.poll_room(&mut context), Poll::Ready(Ok(())));
        assert_eq!(far.receiver.poll_receive(&mut context), Poll::Ready(Ok(vec![2].into())));
    }

    #[test]
    fn who_has_nothing_to_send_can_wait_for_the_end() {
        let (mut near, far) = LinkTransport::pair(2);
        let count = Arc::new(WakeCount::default());
        let waker = Waker::from(count.clone());
        let mut context = Context::from_waker(&waker);
        assert_eq!(near.sender.poll_closed(&mut context), Poll::Pending);
        drop(far);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert_eq!(near.sender.poll_closed(&mut context), Poll::Ready(LinkClosed));
    }

    #[test]
    fn an_end_that_goes_is_noticed_after_its_last_batch() {
        let (mut near, mut far) = LinkTransport::pair(2);
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(near.sender.send(vec![1]), Ok(()));
        drop(near);
        assert_eq!(far.receiver.poll_receive(&mut context), Poll::Ready(Ok(vec![1].into())));
        assert_eq!(far.receiver.poll_receive(&mut context), Poll::Ready(Err(LinkClosed)));
        assert_eq!(far.sender.poll_room(&mut context), Poll::Ready(Err(LinkClosed)));
        assert_eq!(far.sender.send(vec![2]), Err(LinkClosed));
    }
}
