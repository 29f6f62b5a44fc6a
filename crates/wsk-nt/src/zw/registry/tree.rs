//! The tree: keys by number, children and values by name without regard to case, in order of creation.

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) name: String,
    /// REG_...
    pub(crate) kind: u32,
    pub(crate) data: Vec<u8>,
}

/// A key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) parent: Option<usize>,
    pub(crate) children: Vec<usize>,
    pub(crate) values: Vec<Value>,
    /// Counts changes of the key and below it.
    pub(crate) changes: u64,
    /// When it was written last, since 1601.
    pub(crate) written: i64,
    pub(crate) deleted: bool,
}

/// All keys; number 0 is `\Registry`.
pub(crate) struct Tree {
    keys: Vec<Key>,
}

fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.eq_ignore_ascii_case(b) || a.to_lowercase() == b.to_lowercase()
}

impl Tree {
    pub(crate) const fn new() -> Tree {
        Tree { keys: Vec::new() }
    }

    fn add(&mut self, parent: Option<usize>, name: &str) -> usize {
        let written = crate::ke::time::system_time();
        self.keys.push(Key {
            name: name.to_owned(),
            parent,
            children: Vec::new(),
            values: Vec::new(),
            changes: 0,
            written,
            deleted: false,
        });
        self.keys.len() - 1
    }

    fn root(&mut self) -> usize {
        if self.keys.is_empty() {
            self.add(None, "Registry");
            for path in ["Machine\\System\\CurrentControlSet\\Services", "Machine\\Software", "User"] {
                self.create_below(0, path);
            }
        }
        0
    }

    pub(crate) fn key(&self, id: usize) -> &Key {
        &self.keys[id]
    }

    fn child(&self, id: usize, name: &str) -> Option<usize> {
        // ControlSet001 is the current one.
        let name = if same(name, "ControlSet001") { "CurrentControlSet" } else { name };
        self.keys[id].children.iter().copied().find(|&child| same(&self.keys[child].name, name))
    }

    fn parts(path: &str) -> impl Iterator<Item = &str> {
        path.split('\\').filter(|part| !part.is_empty())
    }

    /// The path below `\Registry`, if it is an absolute one of the registry.
    fn below_root(path: &str) -> Option<&str> {
        let rest = path.strip_prefix('\\')?;
        let head = rest.get(.."registry".len())?;
        head.eq_ignore_ascii_case("registry").then(|| &rest["registry".len()..])
    }

    pub(crate) fn open(&mut self, path: &str) -> Option<usize> {
        let root = self.root();
        self.open_below(root, Self::below_root(path)?)
    }

    pub(crate) fn open_below(&mut self, id: usize, path: &str) -> Option<usize> {
        Self::parts(path).try_fold(id, |id, part| self.child(id, part))
    }

    pub(crate) fn create(&mut self, path: &str) -> usize {
        let root = self.root();
        self.create_below(root, Self::below_root(path).unwrap_or(path))
    }

    pub(crate) fn create_below(&mut self, id: usize, path: &str) -> usize {
        Self::parts(path).fold(id, |id, part| {
            self.child(id, part).unwrap_or_else(|| {
                let child = self.add(Some(id), part);
                self.keys[id].children.push(child);
                self.changed(id);
                child
            })
        })
    }

    fn changed(&mut self, id: usize) {
        let now = crate::ke::time::system_time();
        self.keys[id].written = now;
        let mut next = Some(id);
        while let Some(id) = next {
            self.keys[id].changes += 1;
            next = self.keys[id].parent;
        }
    }

    pub(crate) fn value(&self, id: usize, name: &str) -> Option<&Value> {
        self.keys[id].values.iter().find(|value| same(&value.name, name))
    }

    pub(crate) fn set(&mut self, id: usize, name: &str, kind: u32, data: Vec<u8>) {
        let values = &mut self.keys[id].values;
        match values.iter_mut().find(|value| same(&value.name, name)) {
            Some(value) => (value.kind, value.data) = (kind, data),
            None => values.push(Value { name: name.to_owned(), kind, data }),
        }
        self.changed(id);
    }

    pub(crate) fn delete_value(&mut self, id: usize, name: &str) -> bool {
        let values = &mut self.keys[id].values;
        let before = values.len();
        values.retain(|value| !same(&value.name, name));
        let found = values.len() != before;
        if found {
            self.changed(id);
        }
        found
    }

    /// Deletes a key without children; handles to it see it as deleted.
    pub(crate) fn delete(&mut self, id: usize) -> bool {
        let Some(parent) = self.keys[id].parent.filter(|_| self.keys[id].children.is_empty()) else { return false };
        self.keys[id].deleted = true;
        self.keys[parent].children.retain(|&child| child != id);
        self.changed(parent);
        true
    }

    /// Deletes a key and all below it.
    pub(crate) fn delete_all(&mut self, id: usize) {
        for child in self.keys[id].children.clone() {
            self.delete_all(child);
        }
        self.delete(id);
    }

    pub(crate) fn path(&self, id: usize) -> String {
        let key = &self.keys[id];
        key.parent.map_or_else(|| "\\REGISTRY".to_owned(), |parent| format!("{}\\{}", self.path(parent), key.name))
    }
}
