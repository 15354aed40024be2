#include "generate_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"

namespace foregate {
namespace {

constexpr const char* kWeights = "weights";

fs::path settings_path(const fs::path& path) {
  return path.string() + ".settings.json";
}

}  // namespace

GenerationFile::GenerationFile(fs::path path, const GenerationSettings& settings, Logger& log)
    : path_(std::move(path)) {
  if (path_.has_parent_path()) make_output_directory(path_.parent_path());
  const bool exists = fs::exists(path_);
  if (exists && !fs::is_regular_file(path_)) {
    throw UsageError(fmt::format(
        "{} is not a file, and could not be continued; choose another --output, or leave it out "
        "for results on standard output",
        path_.string()));
  }
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw_io_error("cannot write", path_, errno);
  try {
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      throw UsageError(
          fmt::format("{} is being written by another run; wait for it, or choose another --output",
                      path_.string()));
    }
    if (exists && fs::file_size(path_) > 0) {
      resume(settings, log);
    } else {
      begin(settings);
    }
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

GenerationFile::~GenerationFile() {
  ::close(descriptor_);
}

void GenerationFile::begin(const GenerationSettings& settings) {
  Json json = settings.settings;
  json[kWeights] = to_json(settings.weights);
  write_json_atomically(settings_path(path_), json);
}

// What was begun must be what is asked for.
void GenerationFile::require_same(const GenerationSettings& settings, Logger& log) {
  const fs::path path = settings_path(path_);
  if (!fs::exists(path)) {
    throw UsageError(
        fmt::format("{} is there already, and no {} beside it; choose another --output",
                    path_.string(), path.filename().string()));
  }
  Json before = read_json(path);
  const JsonReader reader(before, path.string());
  const bool knows_weights = reader.has(kWeights);
  std::vector<FileDigest> weights;
  if (knows_weights) weights = file_digests(reader, kWeights);
  before.erase(kWeights);
  if (const auto other = first_difference(before, settings.settings)) {
    throw UsageError(
        fmt::format("{} was begun with other settings ({}: {} there, {} asked for); repeat the "
                    "settings it was started with, or choose another --output",
                    path_.string(), other->path, other->before, other->now));
  }
  if (!knows_weights) {
    log.warning("{}", unchecked_input(path_.string()));
    begin(settings);
    return;
  }
  const std::string change = changed_file(weights, settings.weights);
  if (change.empty()) return;
  throw DataError(fmt::format(
      "{} was begun with other input (the model has other weights: {}); give it what it was begun "
      "with, or choose another --output",
      path_.string(), change));
}

void GenerationFile::resume(const GenerationSettings& settings, Logger& log) {
  require_same(settings, log);
  const std::string text = read_file(path_, std::numeric_limits<uint64_t>::max());
  size_t position = 0;
  for (int64_t number = 1; position < text.size(); ++number) {
    const size_t end = text.find('\n', position);
    if (end == std::string::npos) {
      log.debug("{}: line {} was not finished and is done again", path_.string(), number);
      if (::ftruncate(descriptor_, static_cast<off_t>(position)) != 0) {
        throw_io_error("cannot write", path_, errno);
      }
      return;
    }
    const std::string where = fmt::format("{}, line {}", path_.string(), number);
    const Json row = parse_json(std::string_view(text).substr(position, end - position), where);
    done_.insert(JsonReader(row, where).integer("row", 0, std::numeric_limits<int64_t>::max()));
    position = end + 1;
  }
}

void GenerationFile::append(const Json& row) {
  const std::string line = json_line(row) + "\n";
  size_t written = 0;
  while (written < line.size()) {
    const ssize_t count = ::write(descriptor_, line.data() + written, line.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_io_error("cannot write", path_, errno);
    written += static_cast<size_t>(count);
  }
}

}  // namespace foregate
