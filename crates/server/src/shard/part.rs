//! Parts of a viewer's play: a pause at a place, a track that is given up.

use std::rc::Rc;
use std::sync::Arc;

use weir_media::MediaTime;
use weir_record::event;
use weir_time::Instant;

use super::Shard;
use super::state::State;
use super::viewer::{Phase, Source};

impl Shard {
    /// Has a movie's viewer pause at a place (RFC 2326 section 10.6); says whether that is to
    /// come. A place that it has passed is where it goes on from: it pauses at once, and stands
    /// at the key frame before.
    pub(crate) fn pause_at(self: &Rc<Self>, id: usize, at: MediaTime) -> bool {
        let mut state = self.state.borrow_mut();
        let Some(viewer) = state.viewers.get_mut(id) else {
            return false;
        };
        let Source::Movie(source) = &mut viewer.source else {
            return false;
        };
        let movie = Arc::clone(&source.movie);
        let end = movie.end_at(at);
        if viewer.phase == Phase::Playing && end > viewer.cursor.slot {
            source.pause = Some((end, at));
            return true;
        }
        drop(state);
        self.pause(id);
        let mut state = self.state.borrow_mut();
        if let Some(viewer) = state.viewers.get_mut(id) {
            viewer.phase = Phase::Paused;
            viewer.goodbye_due = None;
            viewer.jump(&movie, at);
        }
        false
    }

    /// Where a movie's viewer stands: at its next frame, or where it was sent to if that frame is
    /// not there yet. Absent at the end.
    pub(crate) fn place(&self, id: usize) -> Option<MediaTime> {
        let state = self.state.borrow();
        let viewer = state.viewers.get(id)?;
        let Source::Movie(source) = &viewer.source else {
            return None;
        };
        let is_inside = viewer.cursor.slot < source.end;
        state.place(id).or(is_inside.then_some(source.begun_at))
    }

    /// Says good-bye for one track of a viewer, and sends no more of it.
    pub(crate) fn give_up_track(&self, id: usize, track: u8) {
        self.send_reports(id, Some(track), true);
        let mut state = self.state.borrow_mut();
        let viewer = state.viewers.get_mut(id);
        if let Some(track) = viewer.and_then(|v| v.tracks.get_mut(usize::from(track))) {
            *track = None;
        }
    }
}

impl State {
    /// Pauses a viewer that has come to the place where it was to pause; says whether it has.
    pub(super) fn pause_here(&mut self, id: usize, now: Instant) -> bool {
        let Some(viewer) = self.viewers.get_mut(id) else {
            return false;
        };
        let Source::Movie(source) = &mut viewer.source else {
            return false;
        };
        let end = source.end;
        let Some((_, place)) = source.pause.take_if(|(at, _)| *at < end) else {
            return false;
        };
        // Its next frame may not be there yet when it is asked where it stands.
        source.begun_at = place;
        viewer.phase = Phase::Paused;
        viewer.report_due = None;
        let position_ns = Some(place.as_nanos().max(0) as u64);
        self.records.emit(now, event::ViewerPaused { viewer: viewer.number, position_ns });
        true
    }
}
