//! The request path, for any language: accept, read uwsgi or HTTP, call an [`app::App`], write.

pub mod app;
