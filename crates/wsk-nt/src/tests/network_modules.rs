//! The Network Module Registrar: who attaches to whom and in which order, refusals, detaching at once and pended, modules that
//! leave in the middle of it (functions.md 1.4).
#![allow(unsafe_code)] // Calls exports.

mod support;

use std::ffi::c_void;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;

use wsk_abi::NtStatus;
use wsk_abi::io::HANDLE;

use super::violations_of;
use crate::nmr::*;
use support::{Registered, attach, gate, module, new};

// F-32, F-34 to F-37
#[test]
fn modules_attach_in_either_order_and_detach_when_either_leaves() {
    for (npi, client_first) in [(0x1000, false), (0x1001, true)] {
        let (c, p) = (new(npi, 1), new(npi, 2));
        let (client, provider);
        if client_first {
            client = c.client();
            assert_eq!((c.counts(), p.counts()), ((0, 0, 0), (0, 0, 0)));
            provider = p.provider();
        } else {
            provider = p.provider();
            client = c.client();
        }
        assert_eq!((c.peers(), p.peers()), (vec![2], vec![1]));
        let (first, second) = if client_first { (client, provider) } else { (provider, client) };
        first.leave();
        assert_eq!((c.counts(), p.counts()), ((1, 1, 1), (1, 1, 1)));
        second.leave();
        assert_eq!((c.counts(), p.counts()), ((1, 1, 1), (1, 1, 1)));
    }
}

#[test]
fn everyone_attaches_to_everyone_in_the_order_of_registration() {
    let (npi, other) = (0x1100, 0x1101);
    let modules: Vec<_> = (1..=8).map(|number| new(npi, number)).collect();
    let stranger = new(other, 9);
    let strange = stranger.provider();
    // Two of each kind are there when the others come.
    let mut all = vec![modules[0].client(), modules[1].provider(), modules[2].client(), modules[3].provider()];
    all.extend([modules[4].client(), modules[5].client(), modules[6].provider(), modules[7].provider()]);
    for client in [0, 2, 4, 5] {
        assert_eq!(modules[client].peers(), [2, 4, 7, 8], "client {client}");
    }
    for provider in [1, 3, 6, 7] {
        assert_eq!(modules[provider].peers(), [1, 3, 5, 6], "provider {provider}");
    }
    assert_eq!(stranger.counts(), (0, 0, 0), "of another NPI (F-32)");
    all.into_iter().chain([strange]).for_each(Registered::leave);
    assert!(modules.iter().all(|module| module.counts() == (4, 4, 4)));
}

#[test]
fn a_refused_attach_leaves_no_binding_and_the_others_go_on() {
    let npi = 0x2000;
    let (first, second, c, d) = (new(npi, 1), new(npi, 2), new(npi, 3), new(npi, 4));
    first.refuses.store(3, Ordering::SeqCst);
    d.refuses.store(2, Ordering::SeqCst);
    let all = [first.provider(), second.provider(), c.client(), d.client()];
    assert_eq!((c.peers(), d.peers(), first.peers(), second.peers()), (vec![2], vec![1], vec![4], vec![3]));
    all.into_iter().for_each(Registered::leave);
    for module in [first, second, c, d] {
        assert_eq!(module.counts(), (1, 1, 1));
    }
}

#[test]
fn a_provider_leaves_its_clients_and_comes_back() {
    let npi = 0x3000;
    let (p, clients) = (new(npi, 1), [new(npi, 2), new(npi, 3), new(npi, 4)]);
    let provider = p.provider();
    let mut registered: Vec<Registered> = clients.iter().map(|client| client.client()).collect();
    provider.leave();
    assert_eq!(p.counts(), (3, 3, 3));
    assert!(clients.iter().all(|client| client.counts() == (1, 1, 1)));
    // A client that comes while there is none waits; one that went and came back is as good as new.
    registered.remove(0).leave();
    registered.push(clients[0].client());
    assert_eq!(clients[0].counts(), (1, 1, 1));
    let provider = p.provider();
    assert_eq!(p.peers(), [2, 3, 4, 3, 4, 2]);
    assert!(clients.iter().all(|client| client.peers() == [1, 1]));
    // And the other way round: it registers again while the provider is there.
    registered.pop().unwrap().leave();
    registered.push(clients[0].client());
    assert_eq!(clients[0].counts(), (3, 2, 2));
    provider.leave();
    registered.into_iter().for_each(Registered::leave);
    assert_eq!(p.counts(), (7, 7, 7));
}

// F-36
#[test]
fn a_pended_detach_is_waited_for_on_either_side_in_either_order() {
    for case in 0..12_u128 {
        let (pends, client_first, client_leaves) = (case / 4, case & 1 == 0, case & 2 == 0);
        let (c, p) = (new(0x4000 + case, 1), new(0x4000 + case, 2));
        c.pends.store(pends != 1, Ordering::SeqCst);
        p.pends.store(pends != 0, Ordering::SeqCst);
        let (provider, client) = (p.provider(), c.client());
        let (leaving, staying) = if client_leaves { (client, provider) } else { (provider, client) };
        assert_eq!(leaving.deregister(), NtStatus::PENDING);
        assert_eq!((c.counts(), p.counts()), ((1, 1, 0), (1, 1, 0)), "both were asked at once");
        let binding = c.binding(0);
        let complete = move |of_client: bool| match of_client {
            true if pends != 1 => NmrClientDetachProviderComplete(binding as HANDLE),
            false if pends != 0 => NmrProviderDetachClientComplete(binding as HANDLE),
            _ => {}
        };
        let waited = leaving.waits_for(|| {
            thread::spawn(move || [client_first, !client_first].into_iter().for_each(complete)).join().unwrap();
        });
        assert!(waited, "case {case}");
        assert_eq!((c.counts(), p.counts()), ((1, 1, 1), (1, 1, 1)), "case {case}");
        staying.leave();
    }
}

#[test]
fn a_detach_may_be_complete_before_it_is_pended() {
    let (c, p) = (new(0x4100, 1), new(0x4100, 2));
    c.pends.store(true, Ordering::SeqCst);
    c.set(|module| &module.on_detach, |binding| NmrClientDetachProviderComplete(binding as HANDLE));
    let (provider, client) = (p.provider(), c.client());
    provider.leave();
    assert_eq!((c.counts(), p.counts()), ((1, 1, 1), (1, 1, 1)));
    client.leave();
}

// F-35, F-37
#[test]
fn a_wait_is_over_when_the_last_cleanup_has_returned() {
    for (npi, of_client) in [(0x4200, false), (0x4201, true)] {
        let (c, p) = (new(npi, 1), new(npi, 2));
        let (wait, inside, open) = gate();
        (if of_client { &c } else { &p }).set(|module| &module.on_cleanup, wait);
        let (provider, client) = (p.provider(), c.client());
        let leaver = thread::spawn(move || client.deregister());
        inside.recv().unwrap();
        assert!(client.waits_for(|| drop(open)));
        assert_eq!(leaver.join().unwrap(), NtStatus::PENDING);
        assert_eq!((c.counts(), p.counts()), ((1, 1, 1), (1, 1, 1)));
        provider.leave();
    }
}

#[test]
fn leaving_while_an_attach_function_runs() {
    for case in 0..4_u128 {
        let (attached, client_leaves) = (case & 1 == 1, case & 2 == 2);
        let (c, p) = (new(0x5000 + case, 1), new(0x5000 + case, 2));
        let (wait, inside, open) = gate();
        c.set(|module| if attached { &module.after } else { &module.before }, wait);
        let client = c.client();
        let context = std::ptr::from_ref(&*p) as usize;
        // SAFETY: the test ends after the thread.
        let registering = thread::spawn(move || unsafe { module(context as *mut c_void) }.provider());
        inside.recv().unwrap();
        // The provider's handle is not known before its registration returns; the client's is.
        let leaver = if client_leaves {
            client
        } else {
            Registered { handle: handle_of(&raw const p.provider as usize).expect("it is registered"), provider: true }
        };
        assert_eq!(leaver.deregister(), NtStatus::PENDING);
        assert_eq!(c.counts().1, 0, "not while it attaches");
        assert!(leaver.waits_for(|| drop(open)), "case {case}");
        let provider = registering.join().unwrap();
        // What had begun is undone; what had not is refused.
        let expected = if attached { (1, 1, 1) } else { (0, 0, 0) };
        assert_eq!((c.counts(), p.counts()), (expected, expected), "case {case}");
        (if client_leaves { provider } else { client }).leave();
    }
}

#[test]
fn a_client_may_leave_inside_its_attach_function() {
    let (c, p) = (new(0x5100, 1), new(0x5100, 2));
    let provider = p.provider();
    let (told, status) = mpsc::channel();
    let characteristics = &raw const c.client as usize;
    c.set(
        |module| &module.after,
        move |_| {
            let handle = handle_of(characteristics).expect("it is registered");
            told.send(Registered { handle, provider: false }.deregister()).unwrap();
        },
    );
    let client = c.client();
    assert_eq!(status.recv().unwrap(), NtStatus::PENDING);
    assert_eq!(client.wait(), NtStatus::SUCCESS);
    assert_eq!((c.counts(), p.counts()), ((1, 1, 1), (1, 1, 1)));
    provider.leave();
}

/// Whoever comes and goes at the same time: what was attached was detached and cleaned up, once, when the wait is over.
#[test]
fn clients_and_providers_come_and_go_on_all_threads() {
    let threads: Vec<_> = (0..4)
        .map(|number| {
            thread::spawn(move || {
                let mut attached = 0;
                for _ in 0..300 {
                    let module = new(0x5200, number);
                    let registered = if number % 2 == 0 { module.client() } else { module.provider() };
                    thread::yield_now();
                    registered.leave();
                    let (attaches, detaches, cleanups) = module.counts();
                    assert_eq!((attaches, attaches), (detaches, cleanups));
                    attached += attaches;
                }
                attached
            })
        })
        .collect();
    let attached: Vec<usize> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(attached[0] + attached[2], attached[1] + attached[3]);
}

#[test]
fn wrong_handles_and_orders_are_statuses() {
    let (c, p) = (new(0x6000, 1), new(0x6000, 2));
    let (client, provider) = (c.client(), p.provider());
    let bad = NtStatus::INVALID_PARAMETER;
    for handle in [0, 1, usize::MAX, provider.handle] {
        let wrong = Registered { handle, provider: false };
        assert_eq!((wrong.deregister(), wrong.wait()), (bad, bad));
    }
    let wrong = Registered { handle: client.handle, provider: true };
    assert_eq!((wrong.deregister(), wrong.wait()), (bad, bad));
    assert_eq!((client.wait(), provider.wait()), (bad, bad), "not begun (F-35)");
    assert_eq!((client.deregister(), client.deregister()), (NtStatus::PENDING, bad));
    assert_eq!((client.wait(), client.wait()), (NtStatus::SUCCESS, bad));
    assert_eq!((client.deregister(), c.counts()), (bad, (1, 1, 1)));
    provider.leave();
    let null = std::ptr::null();
    let mut handle = std::ptr::null_mut();
    // SAFETY: null, or the module's.
    unsafe {
        assert_eq!(NmrRegisterClient(null, c.context(), &raw mut handle), bad);
        assert_eq!(NmrRegisterProvider(null.cast(), c.context(), &raw mut handle), bad);
        assert_eq!(NmrRegisterClient(&raw const c.client, c.context(), std::ptr::null_mut()), bad);
    }
}

/// F-33: only SUCCESS makes a binding, and a client returns what it was told.
#[test]
fn an_attach_function_that_says_something_else_is_reported() {
    let (c, p) = (new(0x7000, 1), new(0x7000, 2));
    let provider = p.provider();
    crate::caller::note(0x7070_0001);
    *c.answers.lock().unwrap() = Some(NtStatus::UNSUCCESSFUL);
    let client = c.client();
    assert_eq!(violations_of("NMR", 0x7070_0001), 1);
    assert_eq!((c.counts(), p.counts()), ((1, 0, 0), (1, 1, 1)), "the provider is rid of it");
    client.leave();
    assert_eq!((c.counts(), p.counts()), ((1, 0, 0), (1, 1, 1)));
    crate::caller::note(0x7070_0002);
    p.refuses.store(1, Ordering::SeqCst);
    *c.answers.lock().unwrap() = Some(NtStatus::SUCCESS);
    let client = c.client();
    assert_eq!(violations_of("NMR", 0x7070_0002), 1);
    client.leave();
    assert_eq!((c.counts(), p.counts()), ((1, 0, 0), (1, 1, 1)));
    provider.leave();
}

#[test]
fn calls_about_bindings_at_the_wrong_time_are_reported() {
    let (c, p) = (new(0x7100, 1), new(0x7100, 2));
    let (provider, client) = (p.provider(), c.client());
    let binding = c.binding(0) as HANDLE;
    crate::caller::note(0x7171_0001);
    for binding in [binding, std::ptr::null_mut()] {
        // SAFETY: refused before anything is touched.
        assert_eq!(unsafe { attach(&c, 0, binding) }, NtStatus::INVALID_PARAMETER);
        NmrClientDetachProviderComplete(binding);
        NmrProviderDetachClientComplete(binding);
    }
    assert_eq!(violations_of("NMR", 0x7171_0001), 6);
    client.leave();
    NmrClientDetachProviderComplete(binding);
    assert_eq!((violations_of("NMR", 0x7171_0001), c.counts(), p.counts()), (7, (1, 1, 1), (1, 1, 1)));
    provider.leave();
}

/// A driver is unloaded without a word: nothing of it is called any more, and its peers are rid of it.
#[test]
fn modules_whose_code_goes_are_forgotten() {
    let npi = 0x8000;
    let (p, gone, stays) = (new(npi, 1), new(npi, 2), new(npi, 3));
    let (provider, left, client) = (p.provider(), gone.client(), stays.client());
    let start = std::ptr::from_ref(&*gone) as usize;
    abandon(&(start..start + size_of_val(&*gone)));
    assert_eq!((gone.counts(), p.counts(), stays.counts()), ((1, 0, 0), (2, 1, 1), (1, 0, 0)));
    assert_eq!(left.deregister(), NtStatus::INVALID_PARAMETER);
    drop(gone);
    let late = new(npi, 4);
    late.provider().leave();
    assert_eq!(stays.counts(), (2, 1, 1));
    [provider, client].into_iter().for_each(Registered::leave);
}

/// Also of a detach that it had pended, and now will never complete.
#[test]
fn a_detach_pended_by_code_that_goes_is_over() {
    let npi = 0x8100;
    let (p, gone) = (new(npi, 1), new(npi, 2));
    gone.pends.store(true, Ordering::SeqCst);
    let (provider, _left) = (p.provider(), gone.client());
    assert_eq!(provider.deregister(), NtStatus::PENDING);
    let start = std::ptr::from_ref(&*gone) as usize;
    assert!(provider.waits_for(|| abandon(&(start..start + size_of_val(&*gone)))));
    assert_eq!((gone.counts(), p.counts()), ((1, 1, 0), (1, 1, 1)));
}
