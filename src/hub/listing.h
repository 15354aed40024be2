#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hub/http.h"
#include "hub/repo_id.h"

namespace foregate::hub {

/// A file as the hub lists it.
struct RemoteFile {
  std::string path;   ///< in the repository, parts separated by '/'; never leads out of it
  uint64_t size = 0;  ///< bytes
  /// What its content must hash to, and the name of its blob in the cache: 64 digits SHA-256 for
  /// large files (Git LFS), 40 digits of git's SHA-1 for the others.
  std::string hash;
};

/// All files of one commit.
struct Listing {
  std::string commit;  ///< 40 digits
  std::vector<RemoteFile> files;
};

/// Whether `text` is a full commit hash.
bool is_commit(const std::string& text);

/// Asks which commit `revision` (branch, tag or commit) is, and for its files, page by page. Tries
/// again when that may help. Throws EnvironmentError (not reachable, refused), DataError (an answer
/// that is not the hub's, or names that lead out of the repository), Stopped.
Listing list_repository(HttpClient& client, const RepoId& repo, const std::string& revision);

}  // namespace foregate::hub
