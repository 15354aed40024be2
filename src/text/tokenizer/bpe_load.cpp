// Reading the BPE model of a tokenizer.json.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/tokenizer_file.h"
#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

char32_t first_character(std::string_view text) {
  size_t position = 0;
  return next_code_point(text, position);
}

char32_t last_character(std::string_view text) {
  size_t position = text.size() - 1;
  while ((static_cast<unsigned char>(text[position]) & 0xc0) == 0x80) --position;
  return next_code_point(text, position);
}

}  // namespace

BytePairEncoder::BytePairEncoder(const TokenizerFile& file, bool byte_level)
    : alphabet_(byte_level ? BpeAlphabet::of_bytes(file) : BpeAlphabet::of_characters(file)),
      merges_(file.merges.size()),
      cache_(std::make_unique<WordCache>()) {
  check_model(file);
  read_merges(file);
  const JsonReader model(file.component("model"), file.where + ": model");
  if (model.boolean("ignore_merges", false)) {
    read_whole_words(file, byte_level);
  } else if (!byte_level) {
    read_junctions(file);
  }
}

void BytePairEncoder::check_model(const TokenizerFile& file) const {
  const JsonReader model(file.component("model"), file.where + ": model");
  if (model.number("dropout", 0, 1, 0) != 0) model.fail("dropout", "null or 0");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!model.string(key, "").empty()) model.fail(key, "null or empty");
  }
}

void BytePairEncoder::read_merges(const TokenizerFile& file) {
  for (size_t rank = 0; rank < file.merges.size(); ++rank) {
    const auto& [left, right] = file.merges[rank];
    const auto require = [&, &left = left, &right = right](const std::string& token) {
      const auto id = file.vocabulary.find(token);
      if (id && !token.empty()) return *id;
      throw DataError(
          fmt::format("{}: model.vocab has no token \"{}\", which merge {} (\"{}\" + \"{}\") needs",
                      file.where, token, rank, left, right));
    };
    const int32_t left_id = require(left), right_id = require(right);
    const auto order =
        file.merge_ranks.empty() ? static_cast<uint32_t>(rank) : file.merge_ranks[rank];
    merges_.insert(left_id, right_id, {order, require(left + right)});
  }
}

void BytePairEncoder::read_junctions(const TokenizerFile& file) {
  Junctions junctions;
  for (const auto& [left, right] : file.merges) {
    // Such a token covers other characters than those it is spelled with.
    if (alphabet_.is_substitute(*file.vocabulary.find(left)) ||
        alphabet_.is_substitute(*file.vocabulary.find(right))) {
      return;
    }
    junctions.add(last_character(left), first_character(right));
  }
  junctions_ = std::move(junctions);
}

void BytePairEncoder::read_whole_words(const TokenizerFile& file, bool byte_level) {
  for (int32_t id = 0; id < file.vocabulary.size(); ++id) {
    const std::string& token = file.vocabulary.token(id);
    auto word = byte_level ? bytes_of_spelling(token) : token;
    if (word && !word->empty()) whole_words_.emplace(std::move(*word), id);
  }
}

}  // namespace foregate::text
