#include "text/pre_tokenizer.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace foregate {
namespace {

/// The pattern that ByteLevel with `use_regex` splits by: GPT-2's.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// Appends the matches in `text` and the gaps between them.
void split_isolated(Regex::Searcher& searcher, std::string_view text,
                    std::vector<std::string_view>& pieces) {
  size_t done = 0;
  while (done < text.size()) {
    const auto match = searcher.find(text, done);
    const size_t gap_end = match ? match->begin : text.size();
    if (gap_end > done) pieces.push_back(text.substr(done, gap_end - done));
    if (!match) return;
    pieces.push_back(text.substr(match->begin, match->end - match->begin));
    done = match->end;
  }
}

}  // namespace

PreTokenizer PreTokenizer::from_json(const Json& json, const std::string& where) {
  PreTokenizer pre_tokenizer;
  if (!json.is_null()) pre_tokenizer.add(JsonReader(json, where + ": pre_tokenizer"));
  if (!pre_tokenizer.byte_level_) {
    throw DataError(fmt::format(
        "{}: pre_tokenizer does not end with ByteLevel; only byte-level BPE is supported", where));
  }
  return pre_tokenizer;
}

void PreTokenizer::add(const JsonReader& part) {
  if (byte_level_) part.fail("type", "nothing behind ByteLevel");
  const std::string type = part.string("type");
  if (type == "Sequence") {
    for (const Json& inner : part.array("pretokenizers")) add(JsonReader(inner, part.where()));
  } else if (type == "Split") {
    add_split(part);
  } else if (type == "ByteLevel") {
    add_byte_level(part);
  } else {
    part.fail("type", "one of those implemented: Sequence, Split, ByteLevel");
  }
}

void PreTokenizer::add_split(const JsonReader& part) {
  if (part.string("behavior") != "Isolated") part.fail("behavior", "\"Isolated\"");
  if (part.boolean("invert", false)) part.fail("invert", "false");
  const JsonReader pattern = part.object("pattern");
  if (!pattern.has("Regex")) part.fail("pattern", "an object with 'Regex'");
  regexes_.emplace_back(pattern.string("Regex"), part.where() + ": Split: Regex");
}

void PreTokenizer::add_byte_level(const JsonReader& part) {
  if (part.boolean("add_prefix_space", true)) part.fail("add_prefix_space", "false");
  if (part.boolean("use_regex", true)) {
    regexes_.emplace_back(kGpt2Pattern, part.where() + ": ByteLevel");
  }
  byte_level_ = true;
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  std::vector<std::string_view> pieces;
  if (!text.empty()) pieces.push_back(text);
  for (const Regex& regex : regexes_) {
    Regex::Searcher searcher(regex);
    std::vector<std::string_view> finer;
    finer.reserve(text.size() / 4);
    for (const std::string_view piece : pieces) split_isolated(searcher, piece, finer);
    pieces = std::move(finer);
  }
  return pieces;
}

}  // namespace foregate
