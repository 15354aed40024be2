#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "trace/export/exported.h"
#include "trace/import/source.h"

namespace foregate::trace {

/// Both kinds of npy record are recognised by their files' names.
std::unique_ptr<TraceSource> open_npy(const ImportOptions& options, const StopToken& stop) {
  const fs::path& path = options.path;
  if (!fs::exists(path)) {
    throw EnvironmentError(fmt::format("no such file or directory: {}", path.string()));
  }
  if (!fs::is_directory(path)) {
    if (path.extension() == ".npy") return open_stacked_arrays(path, options, stop);
    return open_request_arrays(path, options, stop);
  }
  if (fs::exists(path / "requests.jsonl"))
    return open_request_arrays(path / "requests.jsonl", options, stop);
  std::vector<fs::path> stacks;
  for (const auto& entry : fs::directory_iterator(path)) {
    if (entry.path().string().ends_with(exported::kExpertsSuffix)) stacks.push_back(entry.path());
  }
  if (stacks.size() == 1) return open_stacked_arrays(stacks.front(), options, stop);
  if (stacks.empty()) {
    throw UsageError(fmt::format("{} has neither requests.jsonl nor a file *{}", path.string(),
                                 exported::kExpertsSuffix));
  }
  throw UsageError(fmt::format("{} has {} files *{}; give one of them as PATH", path.string(),
                               stacks.size(), exported::kExpertsSuffix));
}

}  // namespace foregate::trace
