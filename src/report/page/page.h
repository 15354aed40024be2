#pragma once

#include <string>
#include <vector>

#include "report/page/figure.h"

namespace foregate::report {

/// The whole document around the sections: head with style and script inside, navigation, theme
/// button. `title` and `subtitle` are plain text.
std::string render_page(const std::string& title, const std::string& subtitle,
                        const std::vector<Section>& sections);

}  // namespace foregate::report
