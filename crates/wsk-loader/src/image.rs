//! A PE image as data: parsed and validated before anything is mapped. Bad images get an error that says what is wrong, and
//! nothing else (spec/loader.md); no offset of the file is trusted.

mod load_config;

use std::sync::Arc;

use object::LittleEndian as LE;
use object::pe;
use object::pod;
use thiserror::Error;

pub(crate) use self::load_config::LoadConfig;
use crate::export::ImageExport;
use crate::import::Import;
use crate::reloc::Relocation;
use crate::view::View;
use crate::{export, import, reloc, unwind};

/// Largest image accepted. Windows' own limit for a driver is below this.
const SIZE_LIMIT: u32 = 256 << 20;
/// Most sections of an image.
const SECTION_LIMIT: usize = 96;
const PAGE: u32 = 0x1000;

/// What is wrong with an image.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ImageError {
    /// Not a PE file at all.
    #[error("not a PE image: {0}; give a .sys file as the compiler's linker wrote it")]
    NotPe(&'static str),
    /// The file ends inside something.
    #[error("the image is truncated: {0} lies outside the file; copy it again")]
    Truncated(&'static str),
    /// Another machine than x64.
    #[error("the image is for machine {0:#06x} ({1}); only x64 (0x8664) drivers run here: build for x64")]
    Machine(u16, &'static str),
    /// Not a driver.
    #[error("the image is not a driver: {0}")]
    NotDriver(&'static str),
    /// Linked for a fixed address.
    #[error("the image has no relocations; link with /dynamicbase (GNU ld: --dynamicbase) and without /fixed")]
    NoRelocations,
    /// Thread-local storage.
    #[error("the image has a TLS directory; drivers cannot have thread-local storage: remove __declspec(thread)")]
    Tls,
    /// A number no sane image has.
    #[error("the image is malformed: {0}")]
    Malformed(String),
    /// Imports from a DLL without importing anything.
    #[error(
        "the import descriptor of {0} binds no symbol: an import library of llvm-dlltool given to GNU ld does that; link with \
         lld-link, or make the library with x86_64-w64-mingw32-dlltool"
    )]
    EmptyDescriptor(String),
}

/// A section.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) rva: u32,
    /// Bytes in memory, whole pages.
    pub(crate) size: u32,
    /// Bytes of them that the file has.
    pub(crate) filled: u32,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) executable: bool,
    pub(crate) discardable: bool,
}

/// A validated image.
#[derive(Clone)]
pub struct Image {
    /// The image as it lies in memory at the address it prefers; not relocated, nothing bound.
    pub(crate) memory: Vec<u8>,
    /// The file, for debug information.
    pub(crate) file: Arc<[u8]>,
    pub(crate) preferred_base: u64,
    pub(crate) entry: u32,
    pub(crate) headers_size: u32,
    pub(crate) sections: Vec<Section>,
    pub(crate) relocations: Vec<Relocation>,
    pub(crate) imports: Vec<Import>,
    pub(crate) exports: Vec<ImageExport>,
    pub(crate) load_config: LoadConfig,
    pub(crate) functions: Vec<unwind::Function>,
    /// Where the function table is.
    pub(crate) function_table: u32,
    pub(crate) debug: (u32, u32),
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image")
            .field("size", &self.memory.len())
            .field("sections", &self.sections)
            .finish_non_exhaustive()
    }
}

pub(crate) fn malformed(what: impl Into<String>) -> ImageError {
    ImageError::Malformed(what.into())
}

fn machine_name(machine: u16) -> &'static str {
    match machine {
        pe::IMAGE_FILE_MACHINE_I386 => "32-bit x86",
        pe::IMAGE_FILE_MACHINE_ARM64 => "arm64",
        pe::IMAGE_FILE_MACHINE_ARMNT => "arm",
        _ => "unknown",
    }
}

/// A structure of the file, wherever it lies (structures of `object::pe` have alignment 1).
fn at<'a, T: pod::Pod>(file: &'a [u8], offset: usize, what: &'static str) -> Result<&'a T, ImageError> {
    let rest = file.get(offset..).ok_or(ImageError::Truncated(what))?;
    Ok(pod::from_bytes(rest).map_err(|()| ImageError::Truncated(what))?.0)
}

impl Image {
    /// Parses and validates an image.
    ///
    /// # Errors
    ///
    /// [`ImageError`] says what is wrong with it.
    pub fn parse(file: &[u8]) -> Result<Image, ImageError> {
        let dos: &pe::ImageDosHeader = at(file, 0, "the DOS header")?;
        if dos.e_magic.get(LE) != pe::IMAGE_DOS_SIGNATURE {
            return Err(ImageError::NotPe("it does not begin with MZ"));
        }
        let start = dos.e_lfanew.get(LE) as usize;
        let signature: &object::U32Bytes<LE> = at(file, start, "the PE header")?;
        if signature.get(LE) != pe::IMAGE_NT_SIGNATURE {
            return Err(ImageError::NotPe("no PE signature (a DOS or 16-bit program?)"));
        }
        let header: &pe::ImageFileHeader = at(file, start + 4, "the file header")?;
        let machine = header.machine.get(LE);
        if machine != pe::IMAGE_FILE_MACHINE_AMD64 {
            return Err(ImageError::Machine(machine, machine_name(machine)));
        }
        let optional_at = start + 4 + size_of::<pe::ImageFileHeader>();
        let optional: &pe::ImageOptionalHeader64 = at(file, optional_at, "the optional header")?;
        if optional.magic.get(LE) != pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC {
            return Err(malformed("the optional header is not that of a 64-bit image"));
        }
        let characteristics = header.characteristics.get(LE);
        if characteristics & pe::IMAGE_FILE_EXECUTABLE_IMAGE == 0 {
            return Err(ImageError::NotDriver(
                "it is not marked executable (the linker reported errors, or it is an object file)",
            ));
        }
        if optional.subsystem.get(LE) != pe::IMAGE_SUBSYSTEM_NATIVE {
            return Err(ImageError::NotDriver("its subsystem is not native; link with /subsystem:native /driver"));
        }
        if characteristics & pe::IMAGE_FILE_RELOCS_STRIPPED != 0 {
            return Err(ImageError::NoRelocations);
        }
        let layout = Layout::new(optional)?;
        let directories = Directories::read(file, optional_at, header, optional)?;
        let table_at = optional_at + usize::from(header.size_of_optional_header.get(LE));
        let (memory, sections) = layout.sections(file, table_at, usize::from(header.number_of_sections.get(LE)))?;
        let view = View(&memory);
        let image = Image {
            preferred_base: optional.image_base.get(LE),
            entry: optional.address_of_entry_point.get(LE),
            headers_size: layout.headers,
            relocations: reloc::parse(
                view,
                directories.get(view, pe::IMAGE_DIRECTORY_ENTRY_BASERELOC, "relocations")?,
            )?,
            imports: import::parse(
                view,
                directories.get(view, pe::IMAGE_DIRECTORY_ENTRY_IMPORT, "imports")?,
                directories.get(view, pe::IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT, "delay imports")?,
                optional.image_base.get(LE),
            )?,
            exports: export::parse(view, directories.get(view, pe::IMAGE_DIRECTORY_ENTRY_EXPORT, "exports")?)?,
            load_config: LoadConfig::parse(
                view,
                directories.get(view, pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG, "load configuration")?,
                optional.image_base.get(LE),
            )?,
            functions: unwind::table::parse(
                view,
                directories.get(view, pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION, "functions")?,
            )?,
            function_table: directories.get(view, pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION, "functions")?.0,
            debug: directories.get(view, pe::IMAGE_DIRECTORY_ENTRY_DEBUG, "debug directory")?,
            sections,
            file: file.into(),
            memory,
        };
        if directories.get(View(&image.memory), pe::IMAGE_DIRECTORY_ENTRY_TLS, "TLS")? != (0, 0) {
            return Err(ImageError::Tls);
        }
        let code = image.section_at(image.entry);
        if image.entry == 0 || !code.is_some_and(|section| section.executable) {
            return Err(malformed(format!(
                "the entry point {:#x} lies outside the code; link with /entry:DriverEntry",
                image.entry
            )));
        }
        Ok(image)
    }

    /// What the file has of the image, by RVA: headers and sections. The rest is zeros.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let sections = self.sections.iter().map(|section| (section.rva, section.filled));
        [(0, self.headers_size)].into_iter().chain(sections).map(|(rva, size)| {
            let start = rva as usize;
            (start, &self.memory[start..start + size as usize])
        })
    }

    /// The section that holds an RVA.
    pub(crate) fn section_at(&self, rva: u32) -> Option<&Section> {
        self.sections.iter().find(|section| rva.wrapping_sub(section.rva) < section.size)
    }

    pub(crate) fn view(&self) -> View<'_> {
        View(&self.memory)
    }
}

/// The sizes in the optional header, checked.
struct Layout {
    size: u32,
    headers: u32,
}

impl Layout {
    fn new(optional: &pe::ImageOptionalHeader64) -> Result<Layout, ImageError> {
        let (size, headers) = (optional.size_of_image.get(LE), optional.size_of_headers.get(LE));
        if size == 0 || size > SIZE_LIMIT {
            return Err(malformed(format!("SizeOfImage is {size:#x}; at most {SIZE_LIMIT:#x} is accepted")));
        }
        if headers == 0 || headers > size {
            return Err(malformed(format!("SizeOfHeaders is {headers:#x} in an image of {size:#x}")));
        }
        let alignment = optional.section_alignment.get(LE);
        if alignment < PAGE || !alignment.is_power_of_two() {
            return Err(malformed(format!(
                "sections are aligned to {alignment:#x}, not to pages; link without /align"
            )));
        }
        Ok(Layout { size: size.next_multiple_of(PAGE), headers })
    }

    /// Lays the image out and describes its sections.
    fn sections(&self, file: &[u8], table: usize, count: usize) -> Result<(Vec<u8>, Vec<Section>), ImageError> {
        if count == 0 || count > SECTION_LIMIT {
            return Err(malformed(format!("{count} sections; 1 to {SECTION_LIMIT} are accepted")));
        }
        let mut headers = Vec::new();
        let mut end = self.headers;
        for index in 0..count {
            let header: &pe::ImageSectionHeader =
                at(file, table + index * size_of::<pe::ImageSectionHeader>(), "the section table")?;
            let name: String = header.raw_name().iter().map(|&byte| char::from(byte)).collect();
            let (rva, raw) = (header.virtual_address.get(LE), header.size_of_raw_data.get(LE));
            let size = match header.virtual_size.get(LE) {
                0 => raw,
                size => size,
            };
            if rva % PAGE != 0 || rva < end {
                return Err(malformed(format!("section {name} at {rva:#x} overlaps what is before it")));
            }
            end = rva.checked_add(size).filter(|&end| end <= self.size).ok_or_else(|| {
                malformed(format!(
                    "section {name} ({size:#x} bytes at {rva:#x}) does not fit an image of {:#x}",
                    self.size
                ))
            })?;
            headers.push((name, rva, size, raw.min(size), header));
        }
        // Only now, so that a file of a few bytes cannot ask for much memory before it is refused.
        let mut memory = vec![0; self.size as usize];
        let in_file = file.get(..self.headers as usize).ok_or(ImageError::Truncated("the headers"))?;
        memory[..in_file.len()].copy_from_slice(in_file);
        let mut sections = Vec::with_capacity(count);
        for (name, rva, size, raw, header) in headers {
            let flags = header.characteristics.get(LE);
            let mut filled = 0;
            if raw > 0 && flags & pe::IMAGE_SCN_CNT_UNINITIALIZED_DATA == 0 {
                let from = header.pointer_to_raw_data.get(LE) as usize;
                let data = from.checked_add(raw as usize).and_then(|end| file.get(from..end));
                let data = data.ok_or(ImageError::Truncated("the contents of a section"))?;
                memory[rva as usize..][..data.len()].copy_from_slice(data);
                filled = raw;
            }
            sections.push(Section {
                name,
                rva,
                size: size.next_multiple_of(PAGE).min(self.size - rva),
                filled,
                readable: flags & (pe::IMAGE_SCN_MEM_READ | pe::IMAGE_SCN_MEM_WRITE | pe::IMAGE_SCN_MEM_EXECUTE) != 0,
                writable: flags & pe::IMAGE_SCN_MEM_WRITE != 0,
                executable: flags & pe::IMAGE_SCN_MEM_EXECUTE != 0,
                discardable: flags & pe::IMAGE_SCN_MEM_DISCARDABLE != 0,
            });
        }
        Ok((memory, sections))
    }
}

/// The data directories.
struct Directories(Vec<(u32, u32)>);

impl Directories {
    fn read(
        file: &[u8],
        optional_at: usize,
        header: &pe::ImageFileHeader,
        optional: &pe::ImageOptionalHeader64,
    ) -> Result<Directories, ImageError> {
        let count = optional.number_of_rva_and_sizes.get(LE) as usize;
        let room = usize::from(header.size_of_optional_header.get(LE))
            .checked_sub(size_of::<pe::ImageOptionalHeader64>())
            .ok_or_else(|| malformed("the optional header is too short"))?;
        if count > room / size_of::<pe::ImageDataDirectory>() {
            return Err(malformed(format!("{count} data directories do not fit the optional header")));
        }
        (0..count.min(pe::IMAGE_NUMBEROF_DIRECTORY_ENTRIES))
            .map(|index| {
                let offset = size_of::<pe::ImageOptionalHeader64>() + index * size_of::<pe::ImageDataDirectory>();
                let entry: &pe::ImageDataDirectory = at(file, optional_at + offset, "the data directories")?;
                Ok((entry.virtual_address.get(LE), entry.size.get(LE)))
            })
            .collect::<Result<_, _>>()
            .map(Directories)
    }

    /// The RVA and size of a directory that lies inside the image; zeros for none.
    fn get(&self, view: View<'_>, index: usize, what: &'static str) -> Result<(u32, u32), ImageError> {
        match self.0.get(index).copied().unwrap_or_default() {
            (0, _) | (_, 0) => Ok((0, 0)),
            (rva, size) if view.bytes(rva, size as usize).is_some() => Ok((rva, size)),
            (rva, size) => {
                Err(malformed(format!("the directory of {what} ({size:#x} bytes at {rva:#x}) is outside the image")))
            }
        }
    }
}
