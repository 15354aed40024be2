#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "trace/import/json_lines.h"
#include "trace/import/rows.h"
#include "trace/import/source.h"

namespace foregate::trace {
namespace {

/// The one *.jsonl of a folder, or the file itself.
fs::path lines_file(const fs::path& path) {
  if (!fs::is_directory(path)) return path;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path)) {
    if (entry.path().extension() == ".jsonl") files.push_back(entry.path());
  }
  if (files.size() == 1) return files.front();
  throw UsageError(
      fmt::format("{} has {} files *.jsonl; give one as PATH", path.string(), files.size()));
}

/// Whether the first line is of a file with a text a line.
bool has_texts(const fs::path& file) {
  JsonLines lines(file);
  Json json;
  if (!lines.next(json) || !json.is_object()) return false;
  return json.contains("manifest") || json.contains("routed_experts") ||
         (json.contains("experts") && !json.contains("layer"));
}

}  // namespace

std::unique_ptr<TraceSource> open_jsonl(const ImportOptions& options, const RunContext& run) {
  const fs::path file = lines_file(options.path);
  if (has_texts(file)) {
    if (options.skip != 0 || options.allow_missing) {
      throw UsageError(
          fmt::format("{} holds a text a line; --skip and --allow-missing are for "
                      "logs of a decision a line",
                      file.string()));
    }
    return open_text_lines(file, run.stop);
  }
  return open_rows(read_json_rows(file, options.skip), options, file.stem().string(), run);
}

std::unique_ptr<TraceSource> open_csv(const ImportOptions& options, const RunContext& run) {
  auto rows = read_csv_rows(options.path);
  const fs::path path = fs::weakly_canonical(options.path);
  return open_rows(std::move(rows), options, path.stem().string(), run);
}

}  // namespace foregate::trace
