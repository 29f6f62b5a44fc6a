//! Security descriptors, as far as sharing an address asks for them (C-50, C-53): an owner, and a list of who is allowed and
//! denied. One right counts, [`SHARE`].

use std::sync::Arc;

use wsk_abi::status::NtStatus;

/// The right to share an address: FILE_READ_DATA, which the generic rights to read and to everything include.
pub const SHARE: u32 = 1;
const GENERIC_READ: u32 = 0x8000_0000;
const GENERIC_ALL: u32 = 0x1000_0000;
const SHARING: u32 = SHARE | GENERIC_READ | GENERIC_ALL;

const SE_DACL_PRESENT: u16 = 0x4;
const SE_SELF_RELATIVE: u16 = 0x8000;

/// A security identifier.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sid {
    authority: u64,
    parts: Vec<u32>,
}

impl Sid {
    /// S-1-`authority`-`parts`, as in "S-1-5-18".
    pub fn new(authority: u64, parts: &[u32]) -> Self {
        Self { authority, parts: parts.to_vec() }
    }

    /// S-1-5-18, as which the whole system runs.
    pub fn local_system() -> Self {
        Self::new(5, &[18])
    }

    /// S-1-1-0.
    pub fn everyone() -> Self {
        Self::new(1, &[0])
    }

    fn encode(&self) -> Vec<u8> {
        let [_, _, authority @ ..] = self.authority.to_be_bytes();
        let mut out = vec![1, self.parts.len() as u8];
        out.extend(authority);
        self.parts.iter().for_each(|part| out.extend(part.to_le_bytes()));
        out
    }

    /// A SID at the start of `bytes`: revision 1, a count, an authority of six bytes, the parts.
    ///
    /// # Errors
    /// INVALID_SECURITY_DESCR: it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, NtStatus> {
        let broken = NtStatus::INVALID_SECURITY_DESCR;
        let [1, count, a, b, c, d, e, f] = *bytes.first_chunk::<8>().ok_or(broken)? else { return Err(broken) };
        let parts = bytes.get(8..8 + 4 * usize::from(count)).filter(|_| count <= 15).ok_or(broken)?;
        let parts = parts.as_chunks::<4>().0.iter().map(|part| u32::from_le_bytes(*part)).collect();
        Ok(Self { authority: u64::from_be_bytes([0, 0, a, b, c, d, e, f]), parts })
    }
}

impl std::fmt::Display for Sid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "S-1-{}", self.authority)?;
        self.parts.iter().try_for_each(|part| write!(f, "-{part}"))
    }
}

/// On whose behalf a socket binds: the security context of its owning process (F-87).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The user.
    pub user: Sid,
    /// Its groups.
    pub groups: Vec<Sid>,
}

impl Default for Subject {
    /// The system: what every process of a kernel that is one process is.
    fn default() -> Self {
        let groups = vec![Sid::everyone(), Sid::new(5, &[11]), Sid::new(5, &[32, 544])];
        Self { user: Sid::local_system(), groups }
    }
}

impl Subject {
    fn is(&self, sid: &Sid) -> bool {
        self.user == *sid || self.groups.contains(sid)
    }
}

/// An entry of a list: whom it is about, and whether it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whom.
    pub trustee: Sid,
    /// The rights, [`SHARE`] among others.
    pub rights: u32,
    /// Allowed, or denied.
    pub allow: bool,
}

impl Entry {
    fn encode(&self) -> Vec<u8> {
        let trustee = self.trustee.encode();
        let mut out = vec![u8::from(!self.allow), 0];
        out.extend((8 + trustee.len() as u16).to_le_bytes());
        out.extend(self.rights.to_le_bytes());
        out.extend(trustee);
        out
    }
}

/// A security descriptor. The default one, which a socket has that was given none, lets nobody share: it is no descriptor at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecurityDescriptor {
    /// The owner.
    pub owner: Option<Sid>,
    /// `None`: everybody may do everything (a NULL list).
    pub entries: Option<Vec<Entry>>,
}

impl SecurityDescriptor {
    /// One that allows these to share, and nobody else.
    pub fn sharing_with(trustees: impl IntoIterator<Item = Sid>) -> Self {
        let entry = |trustee| Entry { trustee, rights: SHARE, allow: true };
        Self { owner: None, entries: Some(trustees.into_iter().map(entry).collect()) }
    }

    /// Whether `subject` may share: the first entry that is about it decides; without one it may not.
    pub fn lets_share(&self, subject: &Subject) -> bool {
        let Some(entries) = &self.entries else { return true };
        let about = |entry: &&Entry| subject.is(&entry.trustee) && entry.rights & SHARING != 0;
        entries.iter().find(about).is_some_and(|entry| entry.allow)
    }

    /// A self-relative SECURITY_DESCRIPTOR: revision 1, control, offsets of owner, group, two lists.
    ///
    /// # Errors
    /// INVALID_SECURITY_DESCR: broken, or not self-relative.
    pub fn parse(bytes: &[u8]) -> Result<Self, NtStatus> {
        let broken = NtStatus::INVALID_SECURITY_DESCR;
        let header = bytes.first_chunk::<20>().ok_or(broken)?;
        let control = u16::from_le_bytes([header[2], header[3]]);
        if header[0] != 1 || control & SE_SELF_RELATIVE == 0 {
            return Err(broken);
        }
        let offset = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let part = |at: usize| match offset(at) as usize {
            0 => Ok(None),
            at if at >= 20 => bytes.get(at..).map(Some).ok_or(broken),
            _ => Err(broken),
        };
        let owner = part(4)?.map(Sid::parse).transpose()?;
        part(8)?.map(Sid::parse).transpose()?; // the group
        let entries = match part(16)? {
            Some(list) if control & SE_DACL_PRESENT != 0 => Some(Self::parse_list(list)?),
            _ => None,
        };
        Ok(Self { owner, entries })
    }

    /// The self-relative form, which [`SecurityDescriptor::parse`] reads.
    pub fn encode(&self) -> Vec<u8> {
        let owner = self.owner.as_ref().map(Sid::encode).unwrap_or_default();
        let mut list = Vec::new();
        if let Some(entries) = &self.entries {
            let aces: Vec<u8> = entries.iter().flat_map(Entry::encode).collect();
            list.extend([2, 0]);
            list.extend((8 + aces.len() as u16).to_le_bytes());
            list.extend((entries.len() as u16).to_le_bytes());
            list.extend([0, 0]);
            list.extend(aces);
        }
        let mut out = vec![1, 0];
        out.extend((SE_SELF_RELATIVE | SE_DACL_PRESENT).to_le_bytes());
        let at = |part: &[u8], offset: usize| if part.is_empty() { 0 } else { offset as u32 };
        for offset in [at(&owner, 20), 0, 0, at(&list, 20 + owner.len())] {
            out.extend(offset.to_le_bytes());
        }
        out.extend(owner);
        out.extend(list);
        out
    }

    /// An ACL at the start of `bytes`: revision, size, count; then ACEs of type, flags, size, rights, SID.
    ///
    /// # Errors
    /// INVALID_SECURITY_DESCR: broken.
    pub fn parse_list(bytes: &[u8]) -> Result<Vec<Entry>, NtStatus> {
        let broken = NtStatus::INVALID_SECURITY_DESCR;
        let [revision, _, s0, s1, c0, c1, _, _] = *bytes.first_chunk::<8>().ok_or(broken)?;
        let size = usize::from(u16::from_le_bytes([s0, s1]));
        let mut rest = bytes.get(8..size).filter(|_| matches!(revision, 2..=4)).ok_or(broken)?;
        let mut entries = Vec::new();
        for _ in 0..u16::from_le_bytes([c0, c1]) {
            let [kind, flags, s0, s1] = *rest.first_chunk::<4>().ok_or(broken)?;
            let size = usize::from(u16::from_le_bytes([s0, s1]));
            let ace = rest.get(..size).filter(|_| size >= 4).ok_or(broken)?;
            const INHERIT_ONLY: u8 = 8;
            if matches!(kind, 0 | 1) && flags & INHERIT_ONLY == 0 {
                let rights = u32::from_le_bytes(*ace[4..].first_chunk::<4>().ok_or(broken)?);
                let trustee = Sid::parse(&ace[8..])?;
                entries.push(Entry { trustee, rights, allow: kind == 0 });
            }
            rest = &rest[size..];
        }
        Ok(entries)
    }
}

/// Descriptors cached for a client: equal ones are one, with a count (C-6, WSK_CACHE_SD, WSK_RELEASE_SD). Each has its
/// self-relative form at an address of its own, which is what a C client gets.
#[derive(Debug, Default)]
pub struct DescriptorCache {
    all: Vec<Cached>,
}

#[derive(Debug)]
struct Cached {
    descriptor: Arc<SecurityDescriptor>,
    bytes: Box<[u8]>,
    count: usize,
}

impl Cached {
    fn address(&self) -> usize {
        self.bytes.as_ptr().addr()
    }
}

impl DescriptorCache {
    /// The address of the cached copy of `descriptor`, counted once more.
    pub fn cache(&mut self, descriptor: SecurityDescriptor) -> usize {
        if let Some(known) = self.all.iter_mut().find(|known| *known.descriptor == descriptor) {
            known.count += 1;
            return known.address();
        }
        let bytes = descriptor.encode().into_boxed_slice();
        let cached = Cached { descriptor: Arc::new(descriptor), bytes, count: 1 };
        let address = cached.address();
        self.all.push(cached);
        address
    }

    /// Gives one count of a cached copy back.
    ///
    /// # Errors
    /// INVALID_PARAMETER: it is not cached.
    pub fn release(&mut self, address: usize) -> Result<(), NtStatus> {
        let at = self.all.iter().position(|known| known.address() == address).ok_or(NtStatus::INVALID_PARAMETER)?;
        self.all[at].count -= 1;
        if self.all[at].count == 0 {
            self.all.swap_remove(at);
        }
        Ok(())
    }

    /// The cached copy at an address.
    pub fn find(&self, address: usize) -> Option<Arc<SecurityDescriptor>> {
        self.all.iter().find(|known| known.address() == address).map(|known| known.descriptor.clone())
    }

    /// Counts that were not given back.
    pub fn outstanding(&self) -> usize {
        self.all.iter().map(|known| known.count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sid(authority: u8, parts: &[u32]) -> Vec<u8> {
        let mut out = vec![1, parts.len() as u8, 0, 0, 0, 0, 0, authority];
        parts.iter().for_each(|part| out.extend(part.to_le_bytes()));
        out
    }

    /// Type, rights, SID.
    type Ace = (u8, u32, Vec<u8>);

    fn list(entries: &[Ace]) -> Vec<u8> {
        let mut aces = Vec::new();
        for (kind, rights, sid) in entries {
            aces.extend([*kind, 0]);
            aces.extend((8 + sid.len() as u16).to_le_bytes());
            aces.extend(rights.to_le_bytes());
            aces.extend(sid);
        }
        let mut out = vec![2, 0];
        out.extend((8 + aces.len() as u16).to_le_bytes());
        out.extend((entries.len() as u16).to_le_bytes());
        out.extend([0, 0]);
        out.extend(aces);
        out
    }

    fn descriptor(control: u16, owner: &[u8], dacl: &[u8]) -> Vec<u8> {
        let mut out = vec![1, 0];
        out.extend((control | SE_SELF_RELATIVE).to_le_bytes());
        let dacl_at = if dacl.is_empty() { 0 } else { 20 + owner.len() as u32 };
        for offset in [20, 0, 0, dacl_at] {
            out.extend(offset.to_le_bytes());
        }
        out.extend(owner);
        out.extend(dacl);
        out
    }

    /// C-53: owner and list, and the first entry that is about somebody decides.
    #[test]
    fn c53_descriptors_are_read_and_decide() {
        let system = sid(5, &[18]);
        let everyone = sid(1, &[0]);
        let cases: &[(&[Ace], bool)] = &[
            (&[], false),
            (&[(0, SHARE, system.clone())], true),
            (&[(0, GENERIC_ALL, everyone.clone())], true),
            (&[(0, GENERIC_READ, everyone.clone())], true),
            (&[(0, 2, everyone.clone())], false),
            (&[(1, SHARE, system.clone()), (0, SHARE, everyone.clone())], false),
            (&[(0, SHARE, everyone.clone()), (1, SHARE, system.clone())], true),
            (&[(0, SHARE, sid(5, &[21, 1, 2, 3, 1000]))], false),
            (&[(0x11, SHARE, everyone.clone())], false), // a label, not of ours
        ];
        for (entries, lets) in cases {
            let read = SecurityDescriptor::parse(&descriptor(SE_DACL_PRESENT, &system, &list(entries))).unwrap();
            assert_eq!(read.owner, Some(Sid::local_system()));
            assert_eq!(read.lets_share(&Subject::default()), *lets, "{entries:?}");
        }
        // No list at all: everybody may.
        for control in [0, SE_DACL_PRESENT] {
            let read = SecurityDescriptor::parse(&descriptor(control, &system, &[])).unwrap();
            assert!(read.lets_share(&Subject::default()));
        }
        assert_eq!(Sid::new(5, &[32, 544]).to_string(), "S-1-5-32-544");
    }

    /// C 2 WSK_CACHE_SD: a broken one is INVALID_SECURITY_DESCR, wherever it is broken, and nothing is read outside.
    #[test]
    fn broken_descriptors_are_refused() {
        let broken = Err(NtStatus::INVALID_SECURITY_DESCR);
        let whole =
            descriptor(SE_DACL_PRESENT, &sid(5, &[18]), &list(&[(0, SHARE, sid(1, &[0])), (0, 1, sid(5, &[11]))]));
        assert!(SecurityDescriptor::parse(&whole).is_ok());
        for cut in 0..whole.len() {
            assert_eq!(SecurityDescriptor::parse(&whole[..cut]), broken, "cut at {cut}");
        }
        // Revision, self-relative, offsets, SID revision and count, list revision, sizes and counts.
        for (at, value) in [(0, 2), (3, 0), (4, 1), (4, 19), (7, 0xFF), (20, 2), (21, 16), (32, 9), (34, 4), (36, 9)] {
            let mut bad = whole.clone();
            bad[at] = value;
            assert_eq!(SecurityDescriptor::parse(&bad), broken, "byte {at} = {value}");
        }
    }

    #[test]
    fn what_is_encoded_is_read_back() {
        let everyone = SecurityDescriptor::sharing_with([Sid::everyone(), Sid::new(5, &[21, 1, 2, 3])]);
        let denied = Entry { trustee: Sid::everyone(), rights: 7, allow: false };
        for descriptor in [
            SecurityDescriptor::default(),
            everyone,
            SecurityDescriptor { owner: Some(Sid::local_system()), entries: Some(vec![denied]) },
            SecurityDescriptor { owner: None, entries: Some(Vec::new()) },
        ] {
            assert_eq!(SecurityDescriptor::parse(&descriptor.encode()), Ok(descriptor));
        }
    }

    /// C-6: equal ones are one, counted; what is not there cannot be released.
    #[test]
    fn c6_cached_descriptors_are_counted() {
        let mut cache = DescriptorCache::default();
        let one = cache.cache(SecurityDescriptor::default());
        let same = cache.cache(SecurityDescriptor::default());
        let other = cache.cache(SecurityDescriptor::sharing_with([Sid::everyone()]));
        assert!(one == same && one != other);
        assert_eq!(cache.find(one).as_deref(), Some(&SecurityDescriptor::default()));
        assert_eq!((cache.release(one), cache.release(one)), (Ok(()), Ok(())));
        assert_eq!(cache.release(one), Err(NtStatus::INVALID_PARAMETER));
        assert!(cache.find(one).is_none());
        assert_eq!(cache.outstanding(), 1);
    }
}
