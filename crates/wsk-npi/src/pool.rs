//! Type-stable memory: objects that clients know by address. They are used again but never given back to the allocator, so
//! an address that a client hands in can be looked up, and looked into, whatever it is.

use std::collections::VecDeque;
use std::sync::OnceLock;

use parking_lot::Mutex;

/// Objects of the first chunk; each further chunk has twice as many.
const FIRST: usize = 64;
/// How many freed objects wait before one is used again: a late use of an address then finds no other object there.
const RESTING: usize = 32;

/// Objects of one type.
pub(crate) struct Pool<T: 'static> {
    chunks: [OnceLock<&'static [T]>; 24],
    free: Mutex<VecDeque<&'static T>>,
}

impl<T: Default + Sync> Pool<T> {
    pub(crate) const fn new() -> Self {
        Self { chunks: [const { OnceLock::new() }; 24], free: Mutex::new(VecDeque::new()) }
    }

    /// An object nobody uses, as it was when it was given back.
    pub(crate) fn take(&self) -> &'static T {
        let mut free = self.free.lock();
        if free.len() <= RESTING {
            self.grow(&mut free);
        }
        free.pop_front().expect("grown just now")
    }

    fn grow(&self, free: &mut VecDeque<&'static T>) {
        for (index, chunk) in self.chunks.iter().enumerate() {
            if chunk.get().is_none() {
                let objects: Box<[T]> = (0..FIRST << index).map(|_| T::default()).collect();
                let objects: &'static [T] = Box::leak(objects);
                chunk.get_or_init(|| objects);
                free.extend(objects);
                return;
            }
        }
        assert!(!free.is_empty(), "a thousand million objects");
    }

    /// Gives an object back.
    pub(crate) fn give_back(&self, object: &'static T) {
        self.free.lock().push_back(object);
    }

    /// The object at an address; `None` for an address that is not one's.
    pub(crate) fn find(&self, address: *const ()) -> Option<&'static T> {
        for chunk in &self.chunks {
            let chunk: &'static [T] = chunk.get()?;
            let offset = (address as usize).wrapping_sub(chunk.as_ptr() as usize);
            if offset < size_of_val(chunk) {
                return offset.is_multiple_of(size_of::<T>()).then(|| &chunk[offset / size_of::<T>()]);
            }
        }
        None
    }

    /// All objects, in use or not.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static T> {
        self.chunks.iter().map_while(|chunk| chunk.get().copied()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_its_objects_and_nothing_else() {
        static POOL: Pool<u64> = Pool::new();
        assert!(POOL.find(std::ptr::null()).is_none());
        let objects: Vec<&u64> = (0..500).map(|_| POOL.take()).collect();
        for object in &objects {
            let address: *const u64 = *object;
            assert!(std::ptr::eq(POOL.find(address.cast()).unwrap(), *object));
            assert!(POOL.find(address.wrapping_byte_add(1).cast()).is_none());
        }
        let other = 5_u64;
        assert!(POOL.find((&raw const other).cast()).is_none());
        assert!(POOL.all().count() >= 500);
    }

    #[test]
    fn a_freed_object_rests_before_it_is_used_again() {
        static POOL: Pool<u64> = Pool::new();
        let first = POOL.take();
        POOL.give_back(first);
        for _ in 0..RESTING {
            let next = POOL.take();
            assert!(!std::ptr::eq(next, first));
            POOL.give_back(next);
        }
    }
}
