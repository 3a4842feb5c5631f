package text

import (
	"math"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// candidate is an encoding that a text without a mark may have, with how often files come in it, as the logarithm of
// its share beside windows-1252, and the languages that are written in it.
type candidate struct {
	name  string
	enc   encoding.Encoding
	prior float64
	langs []tongue
}

// tongue is how often letters are among the letters beyond ASCII of texts in some languages: logarithms of shares.
// Letters that are not named have the share `other`.
type tongue struct {
	letters map[rune]float64
	other   float64
	latin   bool // its words have ASCII letters in them, too
	even    bool // one character is a syllable or a word: case and neighbours tell nothing
	prior   float64
}

// rare is the share of a letter that the language does not have, and of a sign where none belongs.
const rare = -11.5

// alphabet makes a language of its letters, the most frequent first. Capitals need not be named.
func alphabet(latin bool, letters string) tongue {
	l := tongue{letters: map[rune]float64{}, other: rare, latin: latin}
	sum, n := 0.0, 0
	for range letters {
		n++
		sum += 1 / float64(n+2)
	}
	n = 0
	for _, r := range letters {
		n++
		p := math.Log(0.9 / float64(n+2) / sum)
		if _, twice := l.letters[r]; !twice {
			l.letters[r] = p
		}
		if up := unicode.ToUpper(r); up != r {
			if _, twice := l.letters[up]; !twice {
				l.letters[up] = p - 2
			}
		}
	}
	return l
}

// tongues makes the languages of an encoding that has several: each one, and a mixture.
func tongues(mixed, single string) []tongue {
	all := alphabet(true, mixed)
	all.prior = -2
	out := []tongue{all}
	for letters := range strings.FieldsSeq(single) {
		out = append(out, alphabet(true, letters))
	}
	return out
}

// characters makes a language of the frequent characters of a large set: common ones, then those that inner accepts.
func characters(common string, inner func(rune) bool) tongue {
	l := tongue{letters: map[rune]float64{}, other: rare - 2, even: true}
	for r := rune(0x3000); r < 0xac00; r++ {
		if inner(r) {
			l.letters[r] = -8.5
		}
	}
	for r := rune(0xac00); r < 0xd7a4; r++ {
		if inner(r) {
			l.letters[r] = -8
		}
	}
	for i, r := range []rune(common) {
		if i < 60 {
			l.letters[r] = -5
		} else {
			l.letters[r] = -6
		}
	}
	for _, r := range "、。，．・：；？！（）「」『』【】《》〈〉“”‘’…－—～　％＃＋" {
		l.letters[r] = -5
	}
	for r := '０'; r <= '９'; r++ {
		l.letters[r] = -6
	}
	for r := 'Ａ'; r <= 'ｚ'; r++ {
		l.letters[r] = -8
	}
	return l
}

// coded reports whether an encoding has a character in a range of its codes.
func coded(e encoding.Encoding, from, to uint16) func(rune) bool {
	in := map[rune]bool{}
	dec := e.NewDecoder()
	for lead := int(from >> 8); lead <= int(to>>8); lead++ {
		for trail := 0x40; trail <= 0xfe; trail++ {
			code := uint16(lead<<8 | trail)
			if code < from || code > to {
				continue
			}
			if s, err := dec.String(string([]byte{byte(lead), byte(trail)})); err == nil && !strings.ContainsRune(s, unicode.ReplacementChar) {
				for _, r := range s {
					in[r] = true
				}
			}
		}
	}
	return func(r rune) bool { return in[r] }
}

func either(fs ...func(rune) bool) func(rune) bool {
	return func(r rune) bool {
		for _, f := range fs {
			if f(r) {
				return true
			}
		}
		return false
	}
}

// The letters beyond ASCII, roughly by how often they stand in names, places and notes.
const (
	western = "éüöäáóíèñßçãåøàêúôâëîïæûòìùõýœðþ"
	central = "áéíóěšžčłřýąęůöüőńśćżăúţäşűďťňźôľđâîßĺŕ"
	// single languages, by blanks: a text in one of them is told by fewer words
	westerly = "üäöß éèêçàôîâëïûùœ ñóíáéúü ãçáéíóêõâúà àèòùìé ëéïöèü øåæéöü äöåé äöå áíðóéöúæþý çàéèíóòúïü"
	easterly = "łóśążęćńź íáéěčýšřžůúťňďó áíéčýúšžľťôäňďóŕĺ éáöüóíőúű ăţîşâ čšžćđ čšž"
	turkish  = "ıüöçşğİâîûé"
	baltic   = "āšėīžūčēąņļģķįęųõäöü"
	russian  = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъёіїєґ"
	southern = "аоеиитнсрвлкмдпујгзбчхжшцщфъяюљњћђџѓќѕ"
	greek    = "αοιετσνρκπυλμςηωγδάθίόχέφύβήξζώψϊϋΐΰ"
	arabic   = "اليمنروتبةعدسحفهقكجشطصخأزذىضغثإءئظؤآپچگژیکـ"
	hebrew   = "יוהלרתאבשמנםדקעחכפטגסצזןךץף"
	thai     = "านรอกเงมยลวดทสต่ะ้ัิปบคหีุแไพจโขชใูถ็ผธศณซษญฟภฝฉฐ์ำ"
	// frequent characters
	simplified  = "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身些与高意进把法此实回二理美点月明其种声全工己话儿者向情部正名定女问力机给等几很业最间新什打便位因重被走电四第门相次东政海口使教西再平真听世气信北少关并内加化由却代军产入先山五太水万市眼体别处总才场师书比住员九笑性通目华报立马命张活难神数件安表原车白应路期叫死常提感金何更反合放做系计或司利受光王果亲界及今京务制解各任至清物台象记边共风战干接它许八特觉望直服毛林题建南度统色字请交爱让认算论百吃义科怎元社术结六功指思非流每青管夫连远资队跟带花快条院变联权往展该领传近留红治决周保达办运武半候七必城父强步完革深区即求品士转量空甚众技轻程告江语英基派满式李息写呢识极令黄德收脸钱党倒未持取设始版双历越史商千片容研像找友孩站广改议形委早房音火际则首单据导影失拿网香似斯专石若兵弟谁校读志飞观争究包组造落视济喜离虽坏兴切急够客街园店酒馆号县镇村省厂销售户址箱备注"
	traditional = "的一是不了在人有我他這中大來上國個到說們為子和你地出道也時年得就那要下以生會自著去之過家學對可她裡後小麼心多天而能好都然沒日於起還發成事只作當想看文無開手十用主行方又如前所本見經頭面公同三已老從動兩長知民樣現分將外但身些與高意進把法此實回二理美點月明其種聲全工己話者向情部正名定女問力機給等幾很業最間新什打便位因重被走電四第門相次東政海口使教西再平真聽世氣信北少關並內加化由卻代軍產入先山五太水萬市眼體別處總才場師書比住員九性通目華報立馬命張活難神數件安表原車白應路期叫死常提感金何更反合放做系計或司利受光王果親界及今京務制解各任至清物台臺象記邊共風戰干接它許八特覺望直服毛林題建南度統色字請交愛讓認算論百吃義科怎元社術結六功指思非流每青管夫連遠資隊帶花快條院變聯權往展該領傳近留紅治決周保達辦運武半候七必城父強步完革深區即求品士轉量空眾技輕程告江語英基滿式李息寫識極令黃德收錢黨未持取設始版雙歷史商千片容研像找友孩站廣改議形委早房音火際則首單據導影失拿網香似斯專石若弟誰校讀志飛觀爭究包組造落視濟喜離雖壞興切急夠客街園店酒館號縣鎮村省廠銷售戶址箱備註景編稱灣鄉鄰里遊湖寺廟宮橋溪"
	kana        = "のいるにたをしはとてがなんこっでれかもらすりあさまくきうそけだよじせどやばえちつおろわめほみごずひげねふぶべゆぞむへぜびぐぎざぼぱぬーンスイルトラリアクシドジレッテプロマグフカタキデコサセバメビブニュムチダウナエオィョパャポハネツノソミケガァゴヤモホボザワヒヨギユェベズペゲォヘピゼ"
	kanji       = "日一国人年大十二本中長出三時行見月分後前生五間上東四今金九入学高円子外八六下来気小七山話女北午百書先名川千水半男西電校語土木聞食車何南万毎白天母火右読友左休父雨会社田市町村区県都府株式部課営業事務所様方氏野藤井松石橋清原島本佐鈴木渡辺加吉林和美香恵太郎郵便番号住電客顧店取引担当備考"
	hangul      = "이다는에의을가고하지로한사기은를도대인서어시자리정수나일아부원보있장주전스제과것여구그들비해상신라만동조게용성우경실오공시국등관소유연계으할김박최강윤임한권황안송전홍문양손배백허남심노명화행업물단선금내면회개중마무모민생진세도트영광호점천읍동길층번호역미초"
)

// candidates returns what is guessed from. It is made when it is first needed, which is seldom, and never changed.
var candidates = sync.OnceValue(makeCandidates)

func makeCandidates() []candidate {
	west, middle, turk, balt := tongues(western, westerly), tongues(central, easterly), alphabet(true, turkish), alphabet(true, baltic)
	east, south := alphabet(false, russian), alphabet(false, southern)
	hellas, arab, heb, siam := alphabet(false, greek), alphabet(false, arabic), alphabet(false, hebrew), alphabet(false, thai)
	gb, big := simplifiedchinese.GBK, traditionalchinese.Big5
	kanjis := either(coded(japanese.ShiftJIS, 0x889f, 0x9872), coded(japanese.ShiftJIS, 0x829f, 0x8396))
	nippon := []tongue{characters(kana+kanji, kanjis)}
	for r := rune(0x3041); r < 0x30ff; r++ {
		if _, ok := nippon[0].letters[r]; !ok || nippon[0].letters[r] < -7 {
			nippon[0].letters[r] = -7
		}
	}
	return []candidate{
		{"windows-1252", charmap.Windows1252, 0, west},
		{"windows-1250", charmap.Windows1250, -2, middle},
		{"windows-1251", charmap.Windows1251, -1, []tongue{east, south}},
		{"windows-1253", charmap.Windows1253, -1.5, []tongue{hellas}},
		{"windows-1254", charmap.Windows1254, -1.5, []tongue{turk}},
		{"windows-1255", charmap.Windows1255, -1.5, []tongue{heb}},
		{"windows-1256", charmap.Windows1256, -1, []tongue{arab}},
		{"windows-1257", charmap.Windows1257, -3, []tongue{balt}},
		{"windows-874", charmap.Windows874, -1.5, []tongue{siam}},
		{"iso-8859-15", charmap.ISO8859_15, -3, west},
		{"iso-8859-2", charmap.ISO8859_2, -3, middle},
		{"iso-8859-5", charmap.ISO8859_5, -3, []tongue{east, south}},
		{"iso-8859-6", charmap.ISO8859_6, -3, []tongue{arab}},
		{"iso-8859-7", charmap.ISO8859_7, -2.5, []tongue{hellas}},
		{"iso-8859-13", charmap.ISO8859_13, -3.5, []tongue{balt}},
		{"koi8-r", charmap.KOI8R, -3, []tongue{east}},
		{"macintosh", charmap.Macintosh, -3, west},
		{"ibm850", charmap.CodePage850, -3.5, west},
		{"ibm852", charmap.CodePage852, -4, middle},
		{"ibm866", charmap.CodePage866, -3, []tongue{east}},
		{"shift_jis", japanese.ShiftJIS, -1.5, nippon},
		{"euc-jp", japanese.EUCJP, -2, nippon},
		{"gb18030", simplifiedchinese.GB18030, -1, []tongue{characters(simplified, coded(gb, 0xb0a1, 0xd7f9))}},
		{"big5", big, -1, []tongue{characters(traditional, coded(big, 0xa440, 0xc67e))}},
		{"euc-kr", korean.EUCKR, -1, []tongue{characters(hangul, coded(korean.EUCKR, 0xb0a1, 0xc8fe))}},
	}
}
