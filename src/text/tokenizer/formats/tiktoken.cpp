#include "text/tokenizer/formats/tiktoken.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/encoding/base64.h"
#include "base/error.h"
#include "base/files.h"
#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/formats/named_splits.h"
#include "text/tokenizer/formats/ranked_merges.h"

namespace foregate::text {
namespace {

/// Which split goes with the ranks of a model, or of a file called so: names begin with `name`.
struct SplitOf {
  std::string_view name;
  std::string_view split;
};

// Longer names in front of their beginnings.
constexpr std::array kByModelType = {
    SplitOf{"qwen3_5", "qwen35"}, SplitOf{"qwen2", "qwen2"},    SplitOf{"qwen3", "qwen2"},
    SplitOf{"gpt_oss", "gpt-4o"}, SplitOf{"minimax", "gpt-4o"},
};
constexpr std::array kByFileName = {
    SplitOf{"qwen3_5", "qwen35"}, SplitOf{"qwen3_6", "qwen35"}, SplitOf{"qwen3.5", "qwen35"},
    SplitOf{"qwen3.6", "qwen35"}, SplitOf{"qwen", "qwen2"},     SplitOf{"o200k", "gpt-4o"},
};

template <size_t size>
const NamedSplit* split_of(const std::array<SplitOf, size>& table, const std::string& name) {
  for (const SplitOf& entry : table) {
    if (name.starts_with(entry.name)) return find_named_split(entry.split);
  }
  return nullptr;
}

const NamedSplit& find_split(const fs::path& path) {
  const fs::path config = path.parent_path() / "config.json";
  const NamedSplit* split = nullptr;
  std::string found;
  if (fs::exists(config)) {
    const Json json = read_json(config);
    found = JsonReader(json, config.string()).string("model_type", "");
    split = split_of(kByModelType, found);
  }
  if (split == nullptr) split = split_of(kByFileName, path.filename().string());
  if (split != nullptr) return *split;
  throw DataError(fmt::format(
      "{}: how texts are split before the merges, ranks do not say; expected a config.json beside "
      "it whose model_type is known to have a split (qwen2_moe, qwen3_moe, qwen3_5_moe, gpt_oss, "
      "minimax_m2){}, or the model's tokenizer.json in its place",
      path.string(), found.empty() ? "" : fmt::format(", not \"{}\"", found)));
}

std::string byte_level_spelling(std::string_view bytes) {
  std::string spelled;
  for (const char byte : bytes) spelled += byte_spelling(static_cast<unsigned char>(byte));
  return spelled;
}

std::vector<RankedToken> read_ranks(const std::string& text, const std::string& where) {
  std::vector<RankedToken> tokens;
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const size_t space = line.find(' ');
    const auto bytes = decode_base64(line.substr(0, space));
    uint32_t rank = 0;
    const std::string_view digits = line.substr(std::min(space, line.size() - 1) + 1);
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
    if (!bytes || bytes->empty() || error != std::errc() || stop != digits.data() + digits.size()) {
      throw DataError(
          fmt::format("{}, line {}: expected \"BASE64 RANK\"; the file is broken", where, number));
    }
    tokens.push_back({byte_level_spelling(*bytes), rank});
  }
  return tokens;
}

/// The tokens that steer a model: those that tokenizer_config.json adds to the ranks.
Json added_tokens(const fs::path& path, TokenizerFile& file) {
  Json added = Json::array();
  const fs::path config = path.parent_path() / "tokenizer_config.json";
  if (!fs::exists(config)) {
    file.notes.push_back(
        fmt::format("{}: special tokens are not known: there is no tokenizer_config.json beside it",
                    path.string()));
    return added;
  }
  const Json json = read_json(config);
  const JsonReader reader(json, config.string());
  if (!reader.has("added_tokens_decoder")) return added;
  const JsonReader decoder = reader.object("added_tokens_decoder");
  for (const auto& [key, token] : decoder.json().items()) {
    int32_t id = 0;
    const auto [stop, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || stop != key.data() + key.size() || !token.is_object()) {
      decoder.fail(key.c_str(), "the id of a token, and an object");
    }
    Json entry = token;
    entry["id"] = id;
    added.push_back(std::move(entry));
  }
  return added;
}

}  // namespace

bool is_tiktoken_file(const fs::path& path) {
  return path.extension() == ".tiktoken" || path.filename() == "tiktoken.model";
}

TokenizerFile read_tiktoken(const fs::path& path) {
  TokenizerFile file;
  file.where = path.string();
  const std::vector<RankedToken> tokens = read_ranks(read_file(path), file.where);
  for (const RankedToken& token : tokens) {
    file.vocabulary.add(token.text, token.rank, file.where);
  }
  set_ranked_merges(tokens, file);
  const NamedSplit& split = find_split(path);
  file.document =
      std::make_shared<Json>(Json{{"added_tokens", added_tokens(path, file)},
                                  {"normalizer", split.normalizer()},
                                  {"pre_tokenizer", split.pre_tokenizer()},
                                  // tiktoken looks a whole word up before it merges.
                                  {"model", {{"type", "BPE"}, {"ignore_merges", true}}}});
  return file;
}

}  // namespace foregate::text
