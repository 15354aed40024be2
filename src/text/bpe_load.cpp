// Reading the BPE model of a tokenizer.json.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/bpe.h"
#include "text/byte_level.h"
#include "text/tokenizer_file.h"

namespace foregate {
namespace {

/// `why` makes the end of the error message: "which ... needs".
template <typename Why>
int32_t require_token(const TokenizerFile& file, const std::string& token, const Why& why) {
  const auto id = file.vocabulary.find(token);
  if (!id) {
    throw DataError(fmt::format("{}: model.vocab has no token \"{}\", which {} needs", file.where,
                                token, why()));
  }
  return *id;
}

}  // namespace

BytePairEncoder::BytePairEncoder(const TokenizerFile& file)
    : merges_(file.merges.size()), cache_(std::make_unique<WordCache>()) {
  check_model(file);
  read_bytes(file);
  read_merges(file);
  read_whole_words(file);
}

void BytePairEncoder::check_model(const TokenizerFile& file) const {
  const JsonReader model(file.component("model"), file.where + ": model");
  if (model.number("dropout", 0, 1, 0) != 0) model.fail("dropout", "null or 0");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!model.string(key, "").empty()) model.fail(key, "null or empty");
  }
  if (model.boolean("byte_fallback", false)) model.fail("byte_fallback", "false");
}

/// With every byte in the vocabulary no character is unknown: unk_token and fuse_unk never apply.
void BytePairEncoder::read_bytes(const TokenizerFile& file) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    byte_ids_[byte] = require_token(file, byte_spelling(static_cast<unsigned char>(byte)), [&] {
      return fmt::format("byte 0x{:02x} in byte-level BPE", byte);
    });
  }
}

void BytePairEncoder::read_merges(const TokenizerFile& file) {
  for (size_t rank = 0; rank < file.merges.size(); ++rank) {
    const auto& [left, right] = file.merges[rank];
    const auto why = [&] { return fmt::format("merge {} (\"{}\" + \"{}\")", rank, left, right); };
    const int32_t left_id = require_token(file, left, why);
    const int32_t right_id = require_token(file, right, why);
    const int32_t result = require_token(file, left + right, why);
    merges_.insert(left_id, right_id, {static_cast<uint32_t>(rank), result});
  }
}

void BytePairEncoder::read_whole_words(const TokenizerFile& file) {
  const JsonReader model(file.component("model"), file.where + ": model");
  if (!model.boolean("ignore_merges", false)) return;
  for (int32_t id = 0; id < file.vocabulary.size(); ++id) {
    auto bytes = bytes_of_spelling(file.vocabulary.token(id));
    if (bytes && !bytes->empty()) whole_words_.emplace(std::move(*bytes), id);
  }
}

}  // namespace foregate
