#include "hub/repo_id.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace foregate::hub {
namespace {

constexpr size_t kLongestName = 96;
constexpr std::string_view kModelFolder = "models--";
constexpr std::string_view kDatasetFolder = "datasets--";

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool is_valid_part(std::string_view part) {
  return !part.empty() && is_word(part.front()) && is_word(part.back()) &&
         std::ranges::all_of(part, [](char c) { return is_word(c) || c == '-' || c == '.'; });
}

}  // namespace

bool RepoId::is_valid(std::string_view name) {
  if (name.size() > kLongestName || name.ends_with(".git") ||
      name.find("--") != std::string_view::npos || name.find("..") != std::string_view::npos) {
    return false;
  }
  const size_t slash = name.find('/');
  if (slash == std::string_view::npos) return is_valid_part(name);
  return is_valid_part(name.substr(0, slash)) && is_valid_part(name.substr(slash + 1));
}

RepoId RepoId::parse(RepoKind kind, const std::string& name) {
  if (!is_valid(name)) {
    throw UsageError(
        fmt::format("'{}' is no repository of the hub; expected OWNER/NAME, for example "
                    "Qwen/Qwen1.5-MoE-A2.7B",
                    name));
  }
  return {kind, name};
}

std::string RepoId::folder() const {
  std::string folder(kind == RepoKind::kModel ? kModelFolder : kDatasetFolder);
  for (const char c : name) folder += c == '/' ? "--" : std::string(1, c);
  return folder;
}

std::string RepoId::prefix() const {
  return kind == RepoKind::kModel ? "" : "datasets/";
}

std::string RepoId::description() const {
  return (kind == RepoKind::kModel ? "model " : "dataset ") + name;
}

std::optional<RepoId> repo_of_snapshot(const std::filesystem::path& path) {
  const std::filesystem::path snapshots = path.parent_path();
  const std::string folder = snapshots.parent_path().filename().string();
  const bool is_model = folder.starts_with(kModelFolder);
  if (snapshots.filename() != "snapshots" || (!is_model && !folder.starts_with(kDatasetFolder))) {
    return std::nullopt;
  }
  std::string name = folder.substr(is_model ? kModelFolder.size() : kDatasetFolder.size());
  const size_t separator = name.find("--");
  if (separator != std::string::npos) name.replace(separator, 2, "/");
  if (!RepoId::is_valid(name)) return std::nullopt;
  return RepoId{is_model ? RepoKind::kModel : RepoKind::kDataset, name};
}

}  // namespace foregate::hub
