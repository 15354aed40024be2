#include "hub/selection.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "base/error.h"
#include "hub/repo_id.h"

namespace foregate::hub {
namespace {

constexpr size_t kListedInErrors = 8;

bool matches_any(const Paths& patterns, const std::string& path) {
  return std::ranges::any_of(patterns, [&](const auto& pattern) { return matches(pattern, path); });
}

std::string first_few(const Paths& files) {
  std::string list;
  for (size_t i = 0; i < std::min(files.size(), kListedInErrors); ++i) {
    list += (list.empty() ? "" : ", ") + files[i];
  }
  return files.size() > kListedInErrors ? list + ", ..." : list;
}

/// Also what transformers wants beside the files that foregate reads; all of them are small.
bool is_config_or_tokenizer(const std::string& path) {
  constexpr std::array<std::string_view, 12> kNames{"config.json",
                                                    "generation_config.json",
                                                    "quantize_config.json",
                                                    "tokenizer.json",
                                                    "tokenizer_config.json",
                                                    "tokenizer.model",
                                                    "special_tokens_map.json",
                                                    "added_tokens.json",
                                                    "vocab.json",
                                                    "vocab.txt",
                                                    "merges.txt",
                                                    "chat_template.jinja"};
  return std::ranges::find(kNames, path) != kNames.end();
}

/// In the repository's own folder, and not Mistral's second copy of the weights.
bool is_weights(const std::string& path) {
  return path.ends_with(".safetensors") && path.find('/') == std::string::npos &&
         !path.starts_with("consolidated");
}

}  // namespace

bool matches(const std::string& pattern, const std::string& path) {
  const std::string whole = pattern.ends_with('/') ? pattern + "*" : pattern;
  return ::fnmatch(whole.c_str(), path.c_str(), FNM_NOESCAPE) == 0;
}

Paths select(const Paths& files, const Selection& selection,
             const std::function<Paths(const Paths&)>& usual, const std::string& repo) {
  for (const std::string& pattern : selection.include) {
    if (std::ranges::none_of(files, [&](const auto& path) { return matches(pattern, path); })) {
      throw UsageError(fmt::format("--include '{}' matches no file of {}; it has {}", pattern, repo,
                                   first_few(files)));
    }
  }
  Paths chosen;
  if (!selection.include.empty()) {
    std::ranges::copy_if(files, std::back_inserter(chosen),
                         [&](const auto& path) { return matches_any(selection.include, path); });
  } else {
    chosen = selection.all_files ? files : usual(files);
  }
  std::erase_if(chosen, [&](const auto& path) { return matches_any(selection.exclude, path); });
  if (chosen.empty()) {
    throw UsageError(
        fmt::format("nothing to pull of {}; it has {}; choose with --include, or take "
                    "--all-files",
                    repo, files.empty() ? "no files" : first_few(files)));
  }
  return chosen;
}

Paths usual_model_files(const Paths& files) {
  const bool single = std::ranges::find(files, kSingleFile) != files.end();
  Paths usual;
  bool has_weights = false;
  for (const std::string& path : files) {
    const bool weights = single ? path == kSingleFile : is_weights(path);
    const bool index = !single && path == std::string(kSingleFile) + ".index.json";
    has_weights |= weights;
    if (weights || index || is_config_or_tokenizer(path)) usual.push_back(path);
  }
  if (!has_weights) {
    throw DataError(fmt::format(
        "the repository has no *.safetensors; it has {} (choose a GGUF file with --include; "
        "--all-files pulls everything)",
        files.empty() ? "no files" : first_few(files)));
  }
  return usual;
}

}  // namespace foregate::hub
