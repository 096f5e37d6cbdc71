//! Which of several apps a request goes to.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mounting {
    /// A request whose SCRIPT_NAME no app has is not the default app's either.
    pub no_default: bool,
    /// SCRIPT_NAME does not choose the app.
    pub ignore_script_name: bool,
}
