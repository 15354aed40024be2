#include "trace/import/renumbering.h"

#include <fmt/format.h>

#include "base/error.h"
#include "trace/import/tokens.h"

namespace foregate::trace {

Renumbering::Renumbering(const TraceSource& source, const ImportOptions& options)
    : source_(source),
      kind_(source.manifest().token_ids),
      needed_(source.knows_experts() && has_token_names(kind_) &&
              (kind_ == TokenIds::kByAppearance || options.tokenizer != nullptr)) {
  if (!needed_) return;
  const std::string where = options.path.string();
  TokenNumbering numbering(names_, options.tokenizer.get());
  numbering.expect(TokenIds::kHashed, where);
  source.names().for_each([&](int32_t /*id*/, const std::string& name) { numbering.survey(name); });
  LeftOut unused;
  numbering.settle(where, unused);
  source.names().for_each([&](int32_t id, const std::string& name) {
    TokenList list;
    list.kind = TokenIds::kHashed;
    list.names = {name};
    new_ids_.try_emplace(id, numbering.ids(list, 0, 1).front());
  });
  kind_ = numbering.kind();
}

void Renumbering::apply(SourceText& text) const {
  if (!needed_) return;
  for (int32_t& id : text.trace.token_ids) {
    const auto found = new_ids_.find(id);
    if (found == new_ids_.end()) {
      throw DataError(fmt::format("{}: token id {} has no string in {}; export again", text.where,
                                  id, kTokensName));
    }
    id = found->second;
  }
}

}  // namespace foregate::trace
