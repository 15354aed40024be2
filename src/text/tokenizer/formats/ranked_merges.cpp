#include "text/tokenizer/formats/ranked_merges.h"

#include <string_view>
#include <unordered_set>

namespace foregate::text {

void set_ranked_merges(const std::vector<RankedToken>& tokens, TokenizerFile& file) {
  std::unordered_set<std::string_view> known;
  for (const RankedToken& token : tokens) known.insert(token.text);
  for (const RankedToken& token : tokens) {
    const std::string_view text = token.text;
    for (size_t cut = 1; cut < text.size(); ++cut) {
      const bool inside_character = (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80;
      if (inside_character || !known.contains(text.substr(0, cut)) ||
          !known.contains(text.substr(cut))) {
        continue;
      }
      file.merges.emplace_back(text.substr(0, cut), text.substr(cut));
      file.merge_ranks.push_back(token.rank);
    }
  }
}

}  // namespace foregate::text
