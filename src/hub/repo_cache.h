#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "hub/repo_id.h"

namespace foregate::hub {

/// One repository in the cache of huggingface_hub, which both write and read:
///
///   CACHE/models--OWNER--NAME/blobs/HASH               contents
///                            /blobs/HASH.incomplete    what came so far
///                            /snapshots/COMMIT/PATH -> ../../blobs/HASH
///                            /refs/REVISION            the commit a branch or tag was
///   CACHE/.locks/models--OWNER--NAME/HASH.lock         held while HASH is downloaded
///
/// A blob gets its name, and a snapshot its link, only when the content is whole and checked.
class RepoCache {
 public:
  RepoCache(const std::filesystem::path& cache, const RepoId& repo);

  std::filesystem::path folder() const { return folder_; }
  std::filesystem::path blob(const std::string& hash) const;
  std::filesystem::path incomplete(const std::string& hash) const;
  std::filesystem::path lock(const std::string& hash) const;
  std::filesystem::path snapshot(const std::string& commit) const;

  /// Makes the folders, and the CACHEDIR.TAG by which backup programs know a cache. Throws
  /// EnvironmentError.
  void prepare() const;

  /// The commit `revision` was when it was last pulled; of a commit itself. Nothing if it is not
  /// in the cache.
  std::optional<std::string> commit_of(const std::string& revision) const;
  /// Records that `revision` is `commit`. Throws EnvironmentError.
  void write_ref(const std::string& revision, const std::string& commit) const;

  /// Whether the snapshot has `path` with so many bytes.
  bool has_file(const std::string& commit, const std::string& path, uint64_t size) const;
  bool has_blob(const std::string& hash, uint64_t size) const;
  /// Bytes that came so far; 0 if none did.
  uint64_t incomplete_size(const std::string& hash) const;
  /// Puts `path` into the snapshot, as a relative link to the blob. Throws EnvironmentError.
  void link(const std::string& commit, const std::string& path, const std::string& hash) const;

 private:
  std::filesystem::path cache_;
  std::filesystem::path folder_;
  std::filesystem::path locks_;
};

/// Whether `revision` can be a git branch, tag or commit, and so the name of a file below refs/.
bool is_revision(const std::string& revision);

}  // namespace foregate::hub
