#include "text/tokenizer/formats/named_splits.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace foregate::text {
namespace {

// The patterns are those of the published tokenizer.json files, not what other programs make of
// them for regular expressions of their own.

constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr std::string_view kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N})"
    R"(| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Characters are written as escapes: an editor that normalizes Unicode would change some.

/// Letters of the scripts with upper and lower case.
#define CASED_LETTERS                                                                      \
  "A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293"          \
  "\u0295-\u02AF\u0370-\u0373\u0376\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C"     \
  "\u038E-\u03A1\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F\u0531-\u0556\u10A0-\u10C5"         \
  "\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77"         \
  "\u1D79-\u1D9A\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59"   \
  "\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC"    \
  "\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107"          \
  "\u210A-\u2113\u2115\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139"     \
  "\u213C-\u213F\u2145-\u2149\u214E\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE"    \
  "\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E"          \
  "\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A\U00010400-\U0001044F" \
  "\U000104B0-\U000104D3\U000104D8-\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2"   \
  "\U000118A0-\U000118DF\U0001E900-\U0001E943"
#define WIDE_PUNCTUATION "!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002"
#define IDEOGRAPHS "\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF"

constexpr std::string_view kLineBreak = "[\r\n]";
constexpr std::string_view kCasedWord = "\\s?[" CASED_LETTERS "]+";
constexpr std::string_view kPunctuation = "\\s?[" WIDE_PUNCTUATION "]+";
constexpr std::string_view kTrailingSpace = "\\s+$";
constexpr std::string_view kIdeographs = "[" IDEOGRAPHS "]+";
constexpr std::string_view kKanaAndIdeographs = "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+";
constexpr std::string_view kDeepseekV3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+)"
    "|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+"
    R"(|\s+(?!\S)|\s+)";

#undef CASED_LETTERS
#undef WIDE_PUNCTUATION
#undef IDEOGRAPHS

const std::vector<NamedSplit>& named_splits() {
  static const std::vector<NamedSplit> kSplits = {
      {.names = {"qwen2"}, .patterns = {kQwen2}, .nfc = true},
      {.names = {"deepseek-r1-qwen"}, .patterns = {kQwen2}},
      {.names = {"qwen35"}, .patterns = {kQwen35}, .nfc = true},
      {.names = {"deepseek-llm"},
       .patterns = {kLineBreak, kCasedWord, kPunctuation, kTrailingSpace, kIdeographs},
       .digits_alone = true},
      {.names = {"deepseek-coder"},
       .patterns = {kLineBreak, R"(\s?\p{L}+)", R"(\s?\p{P}+)", kIdeographs},
       .digits_alone = true},
      {.names = {"deepseek-v3"}, .patterns = {R"(\p{N}{1,3})", kKanaAndIdeographs, kDeepseekV3}},
      {.names = {"gpt-4o", "minimax-m2"}, .patterns = {kGpt4o}},
      {.names = {"llama-bpe", "llama3", "llama-v3"},
       .patterns = {kLlama3},
       .whole_words = true,
       .begins_with_bos = true},
      {.names = {"gpt-2"}, .gpt2 = true},
      {.names = {"olmo"}, .gpt2 = true, .nfc = true},
      {.names = {"starcoder", "refact", "granite-docling"}, .digits_alone = true, .gpt2 = true},
  };
  return kSplits;
}

}  // namespace

Json NamedSplit::normalizer() const {
  return nfc ? Json{{"type", "NFC"}} : Json();
}

Json NamedSplit::pre_tokenizer() const {
  Json steps = Json::array();
  for (const std::string_view pattern : patterns) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", pattern}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  if (digits_alone) steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  steps.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", gpt2}});
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

const NamedSplit* find_named_split(std::string_view name) {
  const auto found = std::ranges::find_if(named_splits(), [&](const NamedSplit& split) {
    return std::ranges::find(split.names, name) != split.names.end();
  });
  return found == named_splits().end() ? nullptr : &*found;
}

std::string known_split_names() {
  std::string names;
  for (const NamedSplit& split : named_splits()) {
    for (const std::string_view name : split.names) {
      names += (names.empty() ? "" : ", ") + std::string(name);
    }
  }
  return names;
}

}  // namespace foregate::text
