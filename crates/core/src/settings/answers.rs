//! What is changed about answers after the app has given them, and the pages of our own.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answers {
    /// `add-header`: whole lines, behind the app's own.
    pub add_headers: Vec<String>,
    /// `del-header`: names.
    pub remove_headers: Vec<String>,
    /// `response-headers-limit`: bytes of status and headers.
    pub headers_limit: u32,
    /// `error-page-STATUS`: the first file of a status that is there is sent.
    pub pages: Vec<(u16, PathBuf)>,
    /// `Status: 200 OK` instead of `HTTP/1.1 200 OK`, to who speaks the uwsgi protocol.
    pub cgi_mode: bool,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            add_headers: Vec::new(),
            remove_headers: Vec::new(),
            headers_limit: 65535,
            pages: Vec::new(),
            cgi_mode: false,
        }
    }
}
