#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "trace/import/engine_record.h"
#include "trace/import/json_lines.h"
#include "trace/import/record_files.h"
#include "trace/import/rows.h"
#include "trace/import/source.h"
#include "trace/token_names.h"

namespace foregate::trace {
namespace {

/// The JSON lines of a folder, by name, or the file itself.
std::vector<fs::path> lines_of(const fs::path& path) {
  if (!fs::is_directory(path)) return {path};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path)) {
    if (entry.path().filename() == kTokensName) continue;  // Beside an export's lines.
    if (is_named(entry.path(), {".jsonl", ".ndjson", ".json"})) files.push_back(entry.path());
  }
  if (files.empty()) {
    throw UsageError(fmt::format("{} has no file *.jsonl, *.ndjson or *.json", path.string()));
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<fs::path> lines_files(const ImportOptions& options) {
  std::vector<fs::path> files = lines_of(options.path);
  for (const fs::path& path : options.more_paths) {
    const std::vector<fs::path> more = lines_of(path);
    files.insert(files.end(), more.begin(), more.end());
  }
  return files;
}

/// Whether the files hold texts, not routing decisions, by their first document that can be read.
bool has_texts(const std::vector<fs::path>& files) {
  JsonLines lines(files, /*skip_broken=*/true);
  Json json;
  return lines.next(json) && (looks_like_engine_text(json) || json.contains("manifest"));
}

}  // namespace

std::unique_ptr<TraceSource> open_jsonl(const ImportOptions& options, const RunContext& run) {
  const std::vector<fs::path> files = lines_files(options);
  const fs::path path = fs::weakly_canonical(files.size() == 1 ? files.front() : options.path);
  fs::path name = fs::is_directory(path) ? path.filename() : path.stem();
  if (is_named(name, {".jsonl", ".ndjson", ".json"})) name = name.stem();  // Of a compressed file.
  if (has_texts(files)) {
    if (options.skip != 0) {
      throw UsageError(
          fmt::format("{} holds a text a line; --skip is for logs of a decision a line",
                      options.path.string()));
    }
    return open_text_lines(files, options, name.string(), run);
  }
  return open_rows(read_json_rows(files, options), options, name.string(), run);
}

std::unique_ptr<TraceSource> open_csv(const ImportOptions& options, const RunContext& run) {
  auto rows = read_csv_rows(options);
  const fs::path path = fs::weakly_canonical(options.path);
  return open_rows(std::move(rows), options, path.stem().string(), run);
}

}  // namespace foregate::trace
