#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/regex.h"

namespace foregate {

/// The `pre_tokenizer` of a byte-level tokenizer.json: ByteLevel, or a Sequence of Split (by regex,
/// isolated) that ends with ByteLevel. Cuts a text into the words that BPE works on.
class PreTokenizer {
 public:
  /// Throws DataError for what is not implemented. `where` names the file in errors.
  static PreTokenizer from_json(const Json& json, const std::string& where);

  /// The words of `text` (valid UTF-8) in order, as views of it; none is empty.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  void add(const JsonReader& part);
  void add_split(const JsonReader& part);
  void add_byte_level(const JsonReader& part);

  std::vector<Regex> regexes_;  ///< applied one after the other, each to the pieces of the last
  bool byte_level_ = false;
};

}  // namespace foregate
