#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "hub/environment.h"
#include "hub/repo_id.h"
#include "hub/selection.h"

namespace foregate::hub {

inline constexpr const char* kDefaultRevision = "main";
inline constexpr int kDefaultJobs = 8;

struct PullOptions {
  RepoId repo;
  std::string revision = kDefaultRevision;  ///< branch, tag or commit
  Selection selection;
  /// What is pulled unless the selection says otherwise.
  std::function<Paths(const Paths&)> usual = usual_model_files;
  int jobs = kDefaultJobs;  ///< files at once
};

struct PulledFile {
  std::string path;
  uint64_t size = 0;
  bool was_cached = false;
};

struct PullSummary {
  std::string commit;
  std::filesystem::path snapshot;  ///< the folder with the files
  std::vector<PulledFile> files;   ///< empty if `offline`
  bool offline = false;            ///< the hub was not asked
  int64_t resumed_bytes = 0;       ///< left by earlier runs
  int64_t received_bytes = 0;
  double seconds = 0;
};

/// Downloads files of a repository into the cache of huggingface_hub, several at once; files that
/// are there are not downloaded again. The name of the revision leads to the new commit only when
/// all of them are there. With Environment::offline it finds what is in the cache. Throws
/// UsageError (nothing matches), EnvironmentError (not reachable, refused, too little space),
/// DataError (wrong content), InterruptedError; what came stays.
PullSummary pull(const PullOptions& options, const Environment& environment,
                 const RunContext& run = silent_run());

}  // namespace foregate::hub
