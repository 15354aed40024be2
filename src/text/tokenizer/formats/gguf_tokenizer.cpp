#include "text/tokenizer/formats/gguf_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/containers/gguf_header.h"
#include "base/error.h"
#include "base/files.h"
#include "text/tokenizer/formats/named_splits.h"
#include "text/tokenizer/formats/ranked_merges.h"
#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

constexpr const char* kModel = "tokenizer.ggml.model";
constexpr const char* kPre = "tokenizer.ggml.pre";
constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr const char* kTypes = "tokenizer.ggml.token_type";
constexpr const char* kMerges = "tokenizer.ggml.merges";
constexpr const char* kScores = "tokenizer.ggml.scores";

/// What tokenizer.ggml.token_type says of a token (llama.cpp: llama_token_type).
enum TokenType : int64_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

struct GgufToken {
  std::string_view text;
  int64_t type = kNormal;
};

/// What converters fill a vocabulary up with, to the size of the embedding; no tokenizer has it.
bool is_filler(const GgufToken& token, size_t id) {
  return token.type == kUnused || token.text.empty() || token.text == fmt::format("[PAD{}]", id);
}

std::vector<GgufToken> read_tokens(const GgufHeader& header) {
  std::vector<GgufToken> tokens;
  for (const std::string_view text : header.strings(kTokens)) {
    if (!is_valid_utf8(text)) {
      throw DataError(fmt::format("{}: {}: token {} is no valid UTF-8; the file is broken",
                                  header.where(), kTokens, tokens.size()));
    }
    tokens.push_back({.text = text});
  }
  if (!header.has(kTypes)) return tokens;
  const std::vector<int64_t> types = header.integers(kTypes);
  if (types.size() != tokens.size()) {
    header.fail(kTypes, fmt::format("one for each of the {} tokens", tokens.size()));
  }
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i].type = types[i];
  return tokens;
}

void fill_vocabulary(const std::vector<GgufToken>& tokens, TokenizerFile& file, Json& added) {
  const std::string where = file.where + ": " + kTokens;
  for (size_t id = 0; id < tokens.size(); ++id) {
    const GgufToken& token = tokens[id];
    if (is_filler(token, id)) continue;
    file.vocabulary.add(std::string(token.text), static_cast<int64_t>(id), where);
    if (token.type != kControl && token.type != kUserDefined && token.type != kUnknown) continue;
    added.push_back({{"id", id},
                     {"content", token.text},
                     {"normalized", false},
                     {"special", token.type != kUserDefined}});
  }
}

/// The id at `key` of one of the tokens; nothing if there is no such key.
std::optional<int64_t> optional_token(const GgufHeader& header, const char* key, size_t count) {
  if (!header.has(key)) return std::nullopt;
  return header.integer(key, 0, static_cast<int64_t>(count) - 1);
}

/// Tokens before and behind every text.
Json tokens_around(const GgufHeader& header, const std::vector<GgufToken>& tokens, bool add_bos) {
  Json single = Json::array();
  Json special = Json::object();
  const auto add = [&](const char* flag, bool fallback, const char* key) {
    if (!header.boolean(flag, fallback)) return;
    const auto id = optional_token(header, key, tokens.size());
    if (!id) header.fail(key, fmt::format("the id of a token, which {} asks for", flag));
    const std::string name(tokens[static_cast<size_t>(*id)].text);
    single.push_back({{"SpecialToken", {{"id", name}, {"type_id", 0}}}});
    special[name] = {{"id", name}, {"ids", {*id}}, {"tokens", {name}}};
  };
  add("tokenizer.ggml.add_bos_token", add_bos, "tokenizer.ggml.bos_token_id");
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  add("tokenizer.ggml.add_eos_token", false, "tokenizer.ggml.eos_token_id");
  return {{"type", "TemplateProcessing"}, {"single", single}, {"special_tokens", special}};
}

void read_gguf_merges(const GgufHeader& header, TokenizerFile& file) {
  for (const std::string_view merge : header.strings(kMerges)) {
    // A token may begin with a space, but holds none otherwise.
    const size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos || !is_valid_utf8(merge)) {
      throw DataError(fmt::format("{}: {}: merge {} is not \"a b\"; the file is broken",
                                  header.where(), kMerges, file.merges.size()));
    }
    file.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
}

void read_byte_level(const GgufHeader& header, const std::vector<GgufToken>& tokens,
                     TokenizerFile& file, Json& document) {
  const NamedSplit* split = find_named_split(header.string(kPre, ""));
  if (split == nullptr) {
    header.fail(kPre, "one of the splits that are known: " + known_split_names());
  }
  read_gguf_merges(header, file);
  document["normalizer"] = split->normalizer();
  document["pre_tokenizer"] = split->pre_tokenizer();
  document["post_processor"] = tokens_around(header, tokens, split->begins_with_bos);
  document["model"] = {{"type", "BPE"}, {"ignore_merges", split->whole_words}};
}

/// The tokens that merges make, ranked by falling score.
std::vector<RankedToken> tokens_by_score(const GgufHeader& header,
                                         const std::vector<GgufToken>& tokens) {
  const std::vector<double> scores = header.numbers(kScores);
  if (scores.size() != tokens.size()) {
    header.fail(kScores, fmt::format("one for each of the {} tokens", tokens.size()));
  }
  std::map<double, uint32_t, std::greater<>> ranks;
  for (const double score : scores) {
    if (std::isnan(score)) header.fail(kScores, "a number for each token");
    ranks.emplace(score, 0);
  }
  uint32_t next = 0;
  for (auto& [score, rank] : ranks) rank = next++;
  std::vector<RankedToken> ranked;
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (tokens[id].type == kNormal && !is_filler(tokens[id], id)) {
      ranked.push_back({std::string(tokens[id].text), ranks[scores[id]]});
    }
  }
  return ranked;
}

void read_sentencepiece(const GgufHeader& header, const std::vector<GgufToken>& tokens,
                        TokenizerFile& file, Json& document) {
  constexpr const char* kSpace = "\u2581";
  if (header.has(kMerges)) {
    read_gguf_merges(header, file);
  } else {
    set_ranked_merges(tokens_by_score(header, tokens), file);
  }
  Json steps = Json::array();
  if (header.boolean("tokenizer.ggml.add_space_prefix", true)) {
    steps.push_back({{"type", "Prepend"}, {"prepend", kSpace}});
  }
  steps.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpace}});
  document["normalizer"] = {{"type", "Sequence"}, {"normalizers", steps}};
  document["post_processor"] = tokens_around(header, tokens, /*add_bos=*/true);
  Json model = {{"type", "BPE"}, {"byte_fallback", true}, {"fuse_unk", true}};
  const auto unknown = optional_token(header, "tokenizer.ggml.unknown_token_id", tokens.size());
  if (unknown) model["unk_token"] = tokens[static_cast<size_t>(*unknown)].text;
  document["model"] = model;
}

}  // namespace

TokenizerFile read_gguf_tokenizer(const std::filesystem::path& path) {
  const MappedFile mapped(path);
  const GgufHeader header(mapped.text(), path.string());
  const std::string model = header.string(kModel);
  TokenizerFile file;
  file.where = path.string();
  const std::vector<GgufToken> tokens = read_tokens(header);
  Json document = {{"added_tokens", Json::array()}};
  fill_vocabulary(tokens, file, document["added_tokens"]);
  if (model == "gpt2") {
    read_byte_level(header, tokens, file, document);
  } else if (model == "llama") {
    read_sentencepiece(header, tokens, file, document);
  } else {
    header.fail(kModel, "gpt2 (byte-level BPE) or llama (SentencePiece), the ones supported");
  }
  file.document = std::make_shared<Json>(std::move(document));
  return file;
}

}  // namespace foregate::text
