#include "base/file_digest.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/hash.h"

namespace foregate {
namespace {

constexpr int64_t kMaxBytes = int64_t{1} << 53;  // What every JSON reader holds exactly.

const FileDigest* named(const std::vector<FileDigest>& files, const std::string& name) {
  const auto found = std::ranges::find(files, name, &FileDigest::file);
  return found == files.end() ? nullptr : &*found;
}

}  // namespace

bool is_sha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

Json to_json(const std::vector<FileDigest>& files) {
  Json json = Json::array();
  for (const FileDigest& each : files) {
    json.push_back({{"file", each.file}, {"bytes", each.bytes}, {"sha256", each.sha256}});
  }
  return json;
}

std::vector<FileDigest> file_digests(const JsonReader& reader, const char* key) {
  std::vector<FileDigest> files;
  for (const Json& json : reader.array(key)) {
    const JsonReader entry(json, fmt::format("{}: {}[{}]", reader.where(), key, files.size()));
    FileDigest& file = files.emplace_back();
    file.file = entry.string("file");
    file.bytes = entry.integer("bytes", 0, kMaxBytes);
    file.sha256 = entry.string("sha256");
    if (!is_sha256(file.sha256)) entry.fail("sha256", "64 lower-case hexadecimal digits");
  }
  return files;
}

std::string digest_of(const std::vector<FileDigest>& files) {
  return files.empty() ? "" : sha256_of_text(to_json(files).dump());
}

std::string changed_file(const std::vector<FileDigest>& before,
                         const std::vector<FileDigest>& now) {
  for (const FileDigest& old : before) {
    const FileDigest* file = named(now, old.file);
    if (file == nullptr) return old.file + " is gone";
    if (file->bytes != old.bytes) {
      return fmt::format("{} has {} bytes, {} before", old.file, file->bytes, old.bytes);
    }
    if (*file != old) return old.file + " has other content";
  }
  for (const FileDigest& file : now) {
    if (named(before, file.file) == nullptr) return file.file + " is new";
  }
  return "";
}

std::string unchecked_input(const std::string& path) {
  return fmt::format(
      "{} was begun by an older foregate, which kept no digests: whether weights and texts are "
      "those it was begun with cannot be checked",
      path);
}

}  // namespace foregate
