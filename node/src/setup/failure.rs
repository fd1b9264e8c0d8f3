//! With which exit code a failed set-up ends a command.

use super::SetupError;
use crate::{
    control::{Exit, Failure},
    net::JoinError,
};

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        let exit = match &error {
            SetupError::AlreadyAPeer { .. }
            | SetupError::Gone { .. }
            | SetupError::InUse { .. } => Exit::Conflict,
            SetupError::NotAPeer { .. } => Exit::NotFound,
            SetupError::NoAddress | SetupError::BadAddress { .. } => Exit::Usage,
            SetupError::NoOperatorKey { .. }
            | SetupError::NotAKey { .. }
            | SetupError::Unanswered(JoinError::AnotherMesh { .. }) => Exit::NotAllowed,
            SetupError::Refused(refusal) => Exit::from(refusal),
            SetupError::Unavailable(_)
            | SetupError::Unanswered(
                JoinError::NoAddress | JoinError::Nobody { .. } | JoinError::Network { .. },
            ) => Exit::Unavailable,
            SetupError::File { source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Exit::NotAllowed
            }
            SetupError::File { .. }
            | SetupError::Damaged { .. }
            | SetupError::Config { .. }
            | SetupError::NewerFormat { .. }
            | SetupError::Identity(_)
            | SetupError::BadAnswer { .. } => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::refusal::Refusal;

    #[test]
    fn a_failed_set_up_ends_with_the_exit_code_of_its_kind() {
        let path = std::path::PathBuf::from("/data");
        for (error, code) in [
            (SetupError::AlreadyAPeer { path: path.clone() }, 5),
            (SetupError::InUse { path: path.clone(), pid: "7".to_owned() }, 5),
            (SetupError::NewerFormat { path: path.clone(), found: 2, known: 1 }, 1),
            (SetupError::NoOperatorKey { path: path.clone() }, 4),
            (SetupError::NotAKey { path }, 4),
            (SetupError::Refused(Refusal::TokenUsed), 4),
            (SetupError::Unavailable("no leader".to_owned()), 6),
            (SetupError::Unanswered(JoinError::NoAddress), 6),
            (SetupError::NoAddress, 2),
        ] {
            let text = error.to_string();
            assert_eq!(Failure::from(error).exit_code.code(), code, "{text}");
        }
    }
}
