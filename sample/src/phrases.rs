//! Vietnamese texts for the fields that hold words. Invented.

use crate::country::{Unit, UnitKind};
use crate::draw::Draw;

const SUMMARIES: &[&str] = &[
    "Kinh tế - xã hội trên địa bàn tiếp tục ổn định, các chỉ tiêu chủ yếu đạt kế hoạch đề ra.",
    "Sản xuất công nghiệp phục hồi, thu ngân sách đạt khá so với cùng kỳ năm trước.",
    "Bắc Bộ nhiều mây, có mưa vài nơi; gió đông bắc cấp 2 - 3, trời rét về đêm và sáng sớm.",
    "Nam Bộ ngày nắng, chiều tối có mưa rào và dông rải rác, đề phòng lốc, sét và gió giật mạnh.",
    "Trung Bộ có nắng nóng, nhiệt độ cao nhất từ 35 đến 37 độ; cần đề phòng cháy rừng.",
    "Tiến độ giải ngân vốn đầu tư công còn chậm, cần tập trung tháo gỡ vướng mắc về giải phóng mặt bằng.",
];
const SOURCES: &[&str] = &[
    "Nhà máy nhiệt điện Vĩnh Tân 2",
    "Khu liên hợp gang thép Hà Tĩnh",
    "Nhà máy xi măng Nghi Sơn",
    "Khu công nghiệp Yên Phong",
    "Nhà máy giấy Hậu Giang",
    "Nhà máy bột - giấy Bắc Giang",
];
const DISASTERS: &[&str] =
    &["bão", "áp thấp nhiệt đới", "lũ quét", "sạt lở đất", "mưa lớn", "nắng nóng", "rét hại", "triều cường"];
const AREAS: &[&str] = &[
    "vùng núi phía Bắc",
    "đồng bằng sông Hồng",
    "các tỉnh từ Nghệ An đến Quảng Ngãi",
    "ven biển Nam Trung Bộ",
    "Tây Nguyên",
    "đồng bằng sông Cửu Long",
    "quần đảo Hoàng Sa",
];
const DISEASES: &[&str] =
    &["sốt xuất huyết", "tay chân miệng", "sởi", "bạch hầu", "cúm A", "viêm não Nhật Bản", "dại", "thủy đậu"];
const RATINGS: &[&str] = &["Ba3", "BB", "BB-", "B1"];
const OUTLOOKS: &[&str] = &["ổn định", "tích cực", "tiêu cực"];
const PROJECTS: &[&str] = &[
    "Cao tốc Bắc - Nam phía Đông, đoạn Mai Sơn - Quốc lộ 45",
    "Cao tốc Trung Lương - Mỹ Thuận",
    "Cảng hàng không quốc tế Long Thành, giai đoạn 1",
    "Đường sắt đô thị tuyến Cát Linh - Hà Đông",
    "Cầu Mỹ Thuận 2",
    "Cải tạo đường cất hạ cánh sân bay Nội Bài",
];
const SEVERE: &[&str] = &[
    "Không có.",
    "Một vụ va chạm giữa ô tô khách và ô tô tải trên quốc lộ 1, lực lượng chức năng đang điều tra.",
    "Một vụ tai nạn tại đường ngang dân sinh, không có thiệt hại về người.",
];
const CONGESTION: &[&str] = &[
    "Không xảy ra ùn tắc kéo dài.",
    "Ùn tắc hai giờ tại cửa ngõ phía nam thành phố vào giờ cao điểm.",
    "Ùn tắc trên đường vành đai 3 do sự cố xe tải, đã giải tỏa.",
];
const RESPONSES: &[&str] = &[
    "Đã huy động lực lượng tại chỗ theo phương châm bốn tại chỗ, di dời các hộ dân ra khỏi vùng nguy hiểm.",
    "Điều tàu SAR 412 ra hiện trường, phối hợp với Bộ đội Biên phòng tìm kiếm người mất tích.",
    "Địa phương đã khắc phục hậu quả, thăm hỏi và hỗ trợ các gia đình bị thiệt hại.",
];
const OPINIONS: &[&str] = &[
    "Đề nghị cơ quan soạn thảo rà soát lại quy định chuyển tiếp.",
    "Đề nghị làm rõ nguồn lực thực hiện và trách nhiệm của địa phương.",
    "Nhất trí về chủ trương, đề nghị lùi thời điểm có hiệu lực.",
];
const QUESTIONS: &[&str] = &[
    "Nghị định về quản lý, kết nối và chia sẻ dữ liệu số",
    "Nghị định về chế độ báo cáo của cơ quan hành chính",
    "Nghị quyết về phát triển Chính phủ điện tử",
    "Nghị định về định danh và xác thực điện tử",
    "Đề án tái cấu trúc hạ tầng công nghệ thông tin",
];

/// A text for the field `key` in the `n`th report of `unit`.
pub(crate) fn text(key: &str, unit: &Unit, n: u64, draw: &mut Draw) -> String {
    let phrases = match key {
        // every member votes on the same question, and no question comes up twice
        "question" => return format!("Phiếu số {}: {}", n + 1, QUESTIONS[n as usize % QUESTIONS.len()]),
        "member" => return head_of(unit),
        "source" => SOURCES,
        "kind" => DISASTERS,
        "area" => AREAS,
        "disease" => DISEASES,
        "rating" => RATINGS,
        "outlook" => OUTLOOKS,
        "project" => PROJECTS,
        "severe" => SEVERE,
        "congestion" => CONGESTION,
        "response" => RESPONSES,
        "opinion" => OPINIONS,
        _ => SUMMARIES,
    };
    draw.pick(phrases).to_owned()
}

fn head_of(unit: &Unit) -> String {
    match unit.kind {
        UnitKind::Centre => format!("Bộ trưởng, Chủ nhiệm {}", unit.name),
        UnitKind::Ministry if unit.name.starts_with("Bộ ") => format!("Bộ trưởng {}", unit.name),
        _ => format!("Thủ trưởng {}", unit.name),
    }
}
