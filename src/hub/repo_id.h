#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace foregate::hub {

/// Where a model's weights lie if they are not in shards.
inline constexpr const char* kSingleFile = "model.safetensors";

enum class RepoKind { kModel, kDataset };

/// A repository of the Hugging Face hub: "Qwen/Qwen1.5-MoE-A2.7B", or "gpt2" without an owner.
struct RepoId {
  RepoKind kind = RepoKind::kModel;
  std::string name;

  /// Throws UsageError if no repository can have that name.
  static RepoId parse(RepoKind kind, const std::string& name);
  /// Whether the hub's rules allow the name: at most one '/', letters, digits, '-', '_' and '.', 96
  /// characters, no "--" or "..", no '-' or '.' at an end, not ending in ".git".
  static bool is_valid(std::string_view name);

  /// "models--Qwen--Qwen1.5-MoE-A2.7B", the folder in the cache.
  std::string folder() const;
  /// "" or "datasets/": stands before the name in addresses.
  std::string prefix() const;
  /// "model Qwen/Qwen1.5-MoE-A2.7B", for people.
  std::string description() const;
};

/// The repository of a path ".../models--OWNER--NAME/snapshots/COMMIT", if it is one.
std::optional<RepoId> repo_of_snapshot(const std::filesystem::path& path);

}  // namespace foregate::hub
